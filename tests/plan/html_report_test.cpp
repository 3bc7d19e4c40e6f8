#include "plan/html_report.h"

#include <gtest/gtest.h>

#include <regex>

namespace fathom::plan {
namespace {

Question question() {
  Question asked;
  asked.models = {*catalogue_facts("coder-6.7b", "q4_0"), *catalogue_facts("v2-lite", "q4_0"),
                  *catalogue_facts("v3", "q4_0")};
  asked.hardware = {*find_hardware("a100-80gb"), *find_hardware("epyc-9654"),
                    *find_hardware("rpi5-8gb")};
  asked.workload.requests_per_second = 0.5;
  asked.workload.prompt_tokens = *loadtest::Lengths::parse("256", "prompt");
  asked.workload.output_tokens = *loadtest::Lengths::parse("64", "output");
  asked.simulated = 0;
  return asked;
}

size_t count(const std::string& text, const std::string& word) {
  size_t found = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++found;
  return found;
}

TEST(HtmlReport, HasTablesAndFourPlotsAndNothingFromOutside) {
  const Question asked = question();
  const auto ranking = rank(asked);
  ASSERT_TRUE(ranking) << ranking.error().message;
  ASSERT_FALSE(ranking->deployments.empty());
  const std::string html = html_report(asked, *ranking);
  EXPECT_EQ(count(html, "<svg "), 4U);
  EXPECT_EQ(count(html, "<svg "), count(html, "</svg>"));
  EXPECT_EQ(count(html, "<table>"), count(html, "</table>"));
  EXPECT_NE(html.find("fathom serve -m"), std::string::npos);
  EXPECT_NE(html.find("0.5 requests a second"), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("nan"), std::string::npos);
  EXPECT_FALSE(std::regex_search(html, std::regex("(src|href)=")));
}

TEST(HtmlReport, SaysWhereNothingDoesAsWished) {
  Question asked = question();
  asked.wishes.ttft_ms = 0.001;
  const auto ranking = rank(asked);
  ASSERT_TRUE(ranking) << ranking.error().message;
  const std::string html = html_report(asked, *ranking);
  EXPECT_NE(html.find("No deployment does all that is wished"), std::string::npos);
  EXPECT_NE(html.find("Ruled out"), std::string::npos);
}

TEST(HtmlReport, EscapesNames) {
  Question asked = question();
  asked.models.resize(1);
  asked.models[0].title = "<b>&\"x";
  const auto ranking = rank(asked);
  ASSERT_TRUE(ranking) << ranking.error().message;
  EXPECT_EQ(html_report(asked, *ranking).find("<b>"), std::string::npos);
}

}  // namespace
}  // namespace fathom::plan
