// fathom lora, from its flags to a model that answers.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/process.h"
#include "cli/tiny_model.h"

namespace fathom::test {
namespace {

std::string adapter(const std::string& name) {
  return std::string(FATHOM_TEST_DATA) + "/golden/lora/" + name;
}

TEST(LoraCommand, MergesAnAdapterIntoADirectoryThatRuns) {
  const TemporaryDirectory folder;
  const std::string out = folder.path() / "merged";
  const Finished made = run({"lora", "merge", "-m", talking_model(), "--lora",
                             adapter("llama_gqa_all"), "-o", out, "--json"});
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_EQ(nlohmann::json::parse(made.out)["changed_tensors"], 14);
  const std::vector<std::string> ask = {"--max-tokens", "12", "--temperature", "0", "hello"};
  const auto answer = [&](const std::string& model) {
    std::vector<std::string> arguments = {"run", "-m", model};
    arguments.insert(arguments.end(), ask.begin(), ask.end());
    const Finished result = run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.out;
  };
  EXPECT_NE(answer(out), answer(talking_model()));
  // And what was merged comes out again.
  const std::string again = folder.path() / "again";
  const Finished extracted = run({"lora", "extract", "-m", out, "--base", talking_model(), "--rank",
                                  "4", "-o", again, "--json"});
  ASSERT_EQ(extracted.code, 0) << extracted.err;
  const auto report = nlohmann::json::parse(extracted.out);
  EXPECT_EQ(report["modules"], 14);
  EXPECT_GT(report["kept"], 0.99);
  EXPECT_TRUE(std::filesystem::exists(again + "/adapter_model.safetensors"));
}

TEST(LoraCommand, ExplainsWhatIsWrong) {
  const TemporaryDirectory folder;
  const std::string out = folder.path() / "merged";
  const auto refuse = [&](const std::string& dir, std::vector<std::string> flags, int code,
                          const std::string& part) {
    std::vector<std::string> arguments = {"lora",   "merge", "-m", talking_model(),
                                          "--lora", dir,     "-o", out};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Finished result = run(arguments);
    EXPECT_EQ(result.code, code) << part;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
    EXPECT_FALSE(std::filesystem::exists(out));
  };
  refuse(adapter("llama_all"), {}, 1, "for another model");
  refuse(folder.path(), {}, 1, "adapter_config.json");
  refuse(adapter("llama_gqa_all"), {"--type", "q4_0"}, 2, "--type is q4_0");
}

}  // namespace
}  // namespace fathom::test
