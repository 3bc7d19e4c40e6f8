#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

class EvalCaptionsTest : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    const auto path = directory_.path() / name;
    std::ofstream(path, std::ios::binary) << text;
    return path.string();
  }
  Finished score(const std::string& references, const std::string& candidates) const {
    return run({"eval", "captions", "--references", file("references.json", references),
                "--candidates", file("candidates.json", candidates), "--json"});
  }

 private:
  TemporaryDirectory directory_;
};

TEST_F(EvalCaptionsTest, CocosListsAndPlainObjectsAreTheSame) {
  const Finished plain = score(R"({"1": ["a dog runs", "the dog is running"], "2": ["a red bus"]})",
                               R"({"1": "a dog runs fast", "2": "a blue bus"})");
  ASSERT_EQ(plain.code, 0) << plain.err;
  const Finished coco = score(R"({"annotations": [{"image_id": 1, "caption": "a dog runs"},
                                 {"image_id": 2, "caption": "a red bus"},
                                 {"image_id": 1, "caption": "the dog is running"}]})",
                              R"([{"image_id": 2, "caption": "a blue bus"},
                                  {"image_id": 1, "caption": "a dog runs fast"}])");
  ASSERT_EQ(coco.code, 0) << coco.err;
  EXPECT_EQ(plain.out, coco.out);
  const auto scores = nlohmann::json::parse(plain.out);
  EXPECT_EQ(scores["images"], 2);
  EXPECT_GT(scores["bleu_1"].get<double>(), 0.5);
  EXPECT_LT(scores["bleu_1"].get<double>(), 1);
}

TEST_F(EvalCaptionsTest, SaysWhatIsWrongAndWhere) {
  const char* const good = R"({"1": "a dog"})";
  struct Case {
    const char* references;
    const char* candidates;
    const char* part;
  };
  const Case cases[] = {
      {"", good, "references.json"},
      {"not JSON", good, "references.json"},
      {"7", good, "captions by image"},
      {"{}", good, "holds no captions"},
      {R"({"1": []})", good, "holds no captions"},
      {good, R"({"1": 5})", "should have a caption"},
      {good, R"({"1": ["a", "b"]})", "2 captions"},
      {good, R"({"2": "a cat"})", "the image \"2\""},
      {R"({"1": "a dog", "2": "a cat"})", good, "no caption for the image \"2\""},
      {good, R"([{"image_id": 1}])", "entry 1"},
      {good, R"([{"image_id": 1, "caption": "a"}, {"caption": "b"}])", "entry 2"},
      {good, R"([["a"]])", "entry 1"},
      {R"({"annotations": 3})", good, "captions by image"},
      {good, "{\"1\": \"caf\xe9\"}", "candidates.json"},
  };
  for (const Case& wrong : cases) {
    const Finished result = score(wrong.references, wrong.candidates);
    EXPECT_EQ(result.code, 1) << wrong.references << wrong.candidates;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(wrong.part), std::string::npos) << wrong.part << "\n" << result.err;
  }
  const Finished missing = run({"eval", "captions", "--references", "/no/such", "--candidates",
                                file("candidates.json", good)});
  EXPECT_NE(missing.err.find("/no/such"), std::string::npos) << missing.err;
}

}  // namespace
}  // namespace fathom::test
