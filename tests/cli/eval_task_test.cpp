#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/process.h"
#include "cli/tiny_model.h"
#include "storage/results.h"

namespace fathom::test {
namespace {

using Json = nlohmann::json;

class EvalTaskTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }
  std::string own_task() const {
    file("rows.jsonl",
         "{\"q\": \"2 + 2\", \"options\": [\"4\", \"five\"], \"right\": 0}\n"
         "{\"q\": \"1 + 1\", \"options\": [\"3\", \"2\"], \"right\": \"2\"}\n");
    return file(
        "own.json",
        R"({"name": "sums", "data": "rows.jsonl", "prompt": "{{{q}}} =", "choices": "options",
                    "answer": "right"})");
  }
  TemporaryDirectory directory_;
};

const std::string kSuperGlue = std::string(FATHOM_TEST_DATA) + "/golden/superglue";

TEST_F(EvalTaskTest, AsksTheQuestionsOfATaskOfOnesOwn) {
  const Finished result = run({"eval", "task", own_task(), "-m", talking_model(), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Json json = Json::parse(result.out);
  const Json& task = json["tasks"][0];
  EXPECT_EQ(task["task"], "sums");
  EXPECT_EQ(task["questions"], 2);
  EXPECT_EQ(task["answers"][1]["right"], 1);
  EXPECT_EQ(task["answers"][0]["loglikelihoods"].size(), 2U);
  EXPECT_LT(task["answers"][0]["loglikelihoods"][0], 0);
  EXPECT_TRUE(task["metrics"].contains("acc_norm"));
}

TEST_F(EvalTaskTest, ReadsTheSameTaskInYaml) {
  const auto answers = [](const std::string& task) {
    const Finished result = run({"eval", "task", task, "-m", talking_model(), "--json"});
    EXPECT_EQ(result.code, 0) << result.err;
    return result.code == 0 ? Json::parse(result.out)["tasks"] : Json();
  };
  const Json expected = answers(own_task());
  EXPECT_EQ(answers(file("own.yaml",
                         "# How sums are asked\nname: sums\ndata: rows.jsonl\n"
                         "prompt: \"{{{q}}} =\"\nchoices: options\nanswer: right\n")),
            expected);
  const Finished wrong =
      run({"eval", "task", file("wrong.yml", "name: sums\ndata: [rows\n"), "-m", talking_model()});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("wrong.yml, line"), std::string::npos) << wrong.err;
  const Finished missing =
      run({"eval", "task", file("less.yaml", "name: sums\ndata: rows.jsonl\nprompt: \"{q}\"\n"),
           "-m", talking_model()});
  EXPECT_EQ(missing.code, 1);
  EXPECT_NE(missing.err.find("there is no answer"), std::string::npos) << missing.err;
}

TEST_F(EvalTaskTest, RunsAllOfSuperGlue) {
  const Finished result = run(
      {"eval", "task", "superglue", "--data", kSuperGlue, "-m", talking_model(), "--shots", "1"});
  ASSERT_EQ(result.code, 0) << result.err;
  for (const char* word : {"boolq", "f1a", "wsc", "score"}) {
    EXPECT_NE(result.out.find(word), std::string::npos) << result.out;
  }
}

TEST_F(EvalTaskTest, ComparesTwoRunsQuestionByQuestion) {
  for (const char* name : {"a.json", "b.json"}) {
    const Finished result = run({"eval", "task", own_task(), "rte", "--data", kSuperGlue, "-m",
                                 talking_model(), "-o", path(name)});
    ASSERT_EQ(result.code, 0) << result.err;
  }
  const Finished result = run({"eval", "compare", path("a.json"), path("b.json"), "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  const Json json = Json::parse(result.out);
  ASSERT_EQ(json["tasks"].size(), 2U);
  EXPECT_EQ(json["tasks"][0]["difference"], 0);
  EXPECT_EQ(json["tasks"][0]["p_value"], 1);
}

TEST_F(EvalTaskTest, DrawsAComparisonThatStandsAlone) {
  // Eight questions; B has two right that A has wrong, and one the other way round.
  const auto answers = [&](const char* name, const char* model, std::vector<int> right) {
    Json list = Json::array();
    for (const int one : right) list.push_back({{"chosen", one}, {"right", 1}});
    const Json tasks = Json::array({{{"task", "<sums> & more"}, {"answers", list}}});
    return file(name, Json{{"model", model}, {"tasks", tasks}}.dump());
  };
  const std::string a = answers("a.json", "first <b>", {1, 1, 0, 0, 1, 0, 0, 1});
  const std::string b = answers("b.json", "second", {1, 1, 1, 1, 0, 0, 0, 1});
  for (const char* name : {"page.html", "picture.svg"}) {
    const Finished result = run({"eval", "compare", a, b, "--html", path(name), "--json"});
    ASSERT_EQ(result.code, 0) << result.err;
    const Json row = Json::parse(result.out)["tasks"][0];
    EXPECT_EQ(row["only_a"], 1);
    EXPECT_EQ(row["only_b"], 2);
    EXPECT_DOUBLE_EQ(row["difference"].get<double>(), 0.125);
    const std::string page = read_file(path(name));
    for (const char* part : {"&lt;sums&gt; &amp; more", "first &lt;b&gt;", "second", "+12.5"}) {
      EXPECT_NE(page.find(part), std::string::npos) << part << "\n" << page;
    }
    EXPECT_EQ(page.find("first <b>"), std::string::npos) << "names are not markup";
    EXPECT_EQ(page.find("http://127"), std::string::npos);
    EXPECT_EQ(page.find("<script"), std::string::npos);
    EXPECT_EQ(page.starts_with("<svg"), std::string(name).ends_with(".svg")) << page.substr(0, 80);
  }
  const Finished nowhere =
      run({"eval", "compare", a, b, "--html", path("no/such/folder/page.html")});
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_NE(nowhere.err.find("page.html"), std::string::npos) << nowhere.err;
}

TEST_F(EvalTaskTest, CountsAModelWithAnAdapterAsAnother) {
  const std::string adapter = path("spoken");
  std::filesystem::copy(FATHOM_TEST_DATA "/golden/lora/llama_gqa_all", adapter);
  file("rows.jsonl", R"({"q": "the quick", "c": ["fox", "dog"], "a": 0})");
  const std::string task = file(
      "task.json",
      R"({"name": "t", "data": "rows.jsonl", "prompt": "{q}", "choices": "c", "answer": "a"})");
  const std::string kept = path("kept.db");
  const auto model_of = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> arguments = {"eval",          "task",   task,        "-m",
                                          talking_model(), "--json", "--results", kept};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Finished result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return Json::parse(result.out).value("model", "");
  };
  const std::string plain = model_of({});
  EXPECT_EQ(model_of({"--lora", adapter}), plain + ":spoken");
  EXPECT_EQ(model_of({"--lora", adapter + "/"}), plain + ":spoken");
  auto results = EvaluationResults::open(kept);
  ASSERT_TRUE(results) << results.error().message;
  const auto measured = results->measured();
  ASSERT_TRUE(measured) << measured.error().message;
  std::set<std::string> identities;
  for (const MeasuredEvaluation& one : *measured) identities.insert(one.key.identity);
  EXPECT_EQ(identities.size(), 2U);
}

TEST_F(EvalTaskTest, NamesTheFilesWhereTheModelsHaveOneName) {
  const auto answers = [&](const char* name) {
    const Json list = Json::array({{{"chosen", 1}, {"right", 1}}});
    const Json tasks = Json::array({{{"task", "t"}, {"answers", list}}});
    return file(name, Json{{"model", "one"}, {"tasks", tasks}}.dump());
  };
  const std::string a = answers("a.json");
  const std::string b = answers("b.json");
  const Finished result = run({"eval", "compare", a, b});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("A: one (" + a + ")\nB: one (" + b + ")"), std::string::npos)
      << result.out;
}

TEST_F(EvalTaskTest, SaysWhatIsWrong) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"eval", "task", "boolq"}, "--data"},
      {{"eval", "task", "glue", "--data", kSuperGlue}, "boolq"},
      {{"eval", "task", "glue"}, "There is no task \"glue\""},
      {{"eval", "task", "superglue", "--data", "/no/such"}, "/no/such"},
      {{"eval", "task", "boolq", "--data", kSuperGlue, "--shots", "-1"}, "--shots"},
      {{"eval", "task", file("1.json", "{}")}, "name"},
      {{"eval", "task", file("2.json", R"({"name": "x", "colour": 1})")}, "colour"},
      {{"eval", "task", file("3.json", R"({"name": "x", "data": "no.jsonl", "prompt": "p",
        "choices": ["a", "b"], "answer": "a"})")},
       "no.jsonl"},
      {{"eval", "compare", file("4.json", "{}"), path("4.json")}, "eval task"},
  };
  for (const auto& [command, word] : cases) {
    std::vector<std::string> arguments = command;
    if (command[1] == "task") arguments.insert(arguments.end(), {"-m", talking_model()});
    const Finished result = run(arguments);
    EXPECT_NE(result.code, 0) << word;
    EXPECT_NE(result.err.find(word), std::string::npos) << result.err;
  }
  file("rows.jsonl", R"({"q": "x", "options": ["a", "b"], "right": 5})");
  const std::string task = file("own.json", R"({"name": "sums", "data": "rows.jsonl",
      "prompt": "{q}", "choices": "options", "answer": "right"})");
  const Finished wrong = run({"eval", "task", task, "-m", talking_model()});
  EXPECT_NE(wrong.err.find("line 1"), std::string::npos) << wrong.err;
}

}  // namespace
}  // namespace fathom::test
