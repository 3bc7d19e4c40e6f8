#include "hub/model_cache.h"

#include <gtest/gtest.h>

#include "hub/test_files.h"

namespace fathom::hub {
namespace {

class ModelCacheTest : public testing::Test {
 protected:
  void put(const std::string& relative, const std::string& content = "x") {
    write_file(cache_.models() / relative, content);
  }
  std::string error_of(const std::string& model) {
    const auto result = cache_.resolve(model);
    return result ? "resolved to " + result->string() : result.error().message;
  }

  TemporaryDirectory directory_;
  ModelCache cache_{directory_.path()};
};

TEST_F(ModelCacheTest, FindsTheDefaultModelByItsName) {
  put("default/SmolLM2.gguf");
  EXPECT_EQ(*cache_.resolve("default"), cache_.models() / "default/SmolLM2.gguf");
}

TEST_F(ModelCacheTest, SaysHowToFetchTheDefaultModelWhenItIsMissing) {
  EXPECT_NE(error_of("default").find("fathom pull default"), std::string::npos);
}

TEST_F(ModelCacheTest, TakesAPathThatExistsBeforeANameInTheCache) {
  write_file(directory_.path() / "a.gguf", "x");
  const std::string path = (directory_.path() / "a.gguf").string();
  EXPECT_EQ(*cache_.resolve(path), path);
}

TEST_F(ModelCacheTest, FindsTheOnlyGgufFileOfARepository) {
  put("owner/name/sub/model-q4.gguf");
  EXPECT_EQ(*cache_.resolve("owner/name"), cache_.models() / "owner/name/sub/model-q4.gguf");
}

TEST_F(ModelCacheTest, FindsACheckpointDirectory) {
  put("owner/name/config.json", "{}");
  put("owner/name/model.safetensors");
  EXPECT_EQ(*cache_.resolve("owner/name"), cache_.models() / "owner/name");
}

TEST_F(ModelCacheTest, RefusesACheckpointDirectoryWhosePullWasInterrupted) {
  put("owner/name/config.json", "{}");
  put("owner/name/model-00001-of-00002.safetensors");
  put("owner/name/.fathom/unfinished");
  EXPECT_NE(error_of("owner/name").find("Go on with `fathom pull owner/name`"), std::string::npos);
}

TEST_F(ModelCacheTest, AsksWhichOfSeveralQuantisations) {
  put("owner/name/model.Q4_K_M.gguf");
  put("owner/name/model.Q8_0.gguf");
  const std::string error = error_of("owner/name");
  EXPECT_NE(error.find("owner/name:FILE"), std::string::npos) << error;
  EXPECT_NE(error.find("model.Q4_K_M.gguf, model.Q8_0.gguf"), std::string::npos) << error;
}

TEST_F(ModelCacheTest, FindsAQuantisationByAPartOfItsName) {
  put("owner/name/model.Q4_K_M.gguf");
  put("owner/name/model.Q8_0.gguf");
  const auto q8 = cache_.models() / "owner/name/model.Q8_0.gguf";
  EXPECT_EQ(*cache_.resolve("owner/name:model.Q8_0.gguf"), q8);
  EXPECT_EQ(*cache_.resolve("owner/name:q8_0"), q8);
  EXPECT_NE(error_of("owner/name:model").find("several files match"), std::string::npos);
  EXPECT_NE(error_of("owner/name:Q2").find("no such file"), std::string::npos);
}

TEST_F(ModelCacheTest, CountsTheShardsOfASplitFileAsOneModel) {
  put("owner/name/m-00001-of-00002.gguf", "12");
  put("owner/name/m-00002-of-00002.gguf", "345");
  EXPECT_EQ(*cache_.resolve("owner/name"), cache_.models() / "owner/name/m-00001-of-00002.gguf");
  const auto models = cache_.list();
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].name, "owner/name:m-00001-of-00002.gguf");
  EXPECT_EQ(models[0].bytes, 5);
}

TEST_F(ModelCacheTest, KeepsRevisionsApart) {
  put("owner/name/a.gguf");
  put("owner/name@refs%2Fpr%2F1/b.gguf");
  EXPECT_EQ(*cache_.resolve("owner/name@refs/pr/1"),
            cache_.models() / "owner/name@refs%2Fpr%2F1/b.gguf");
  const auto models = cache_.list();
  ASSERT_EQ(models.size(), 2u);
  for (const auto& model : models) EXPECT_EQ(*cache_.resolve(model.name), model.path);
}

TEST_F(ModelCacheTest, DoesNotTakeAnUnfinishedDownloadForAModel) {
  put("owner/name/.fathom/model.gguf.part");
  put("owner/name/.fathom/pull.gguf");
  EXPECT_TRUE(cache_.list().empty());
  EXPECT_NE(error_of("owner/name").find("fathom pull owner/name"), std::string::npos);
}

TEST_F(ModelCacheTest, ListsWhatIsThereWhenANameIsUnknown) {
  put("owner/name/a.gguf");
  put("default/b.gguf");
  const std::string error = error_of("no-model-of-that-name");
  EXPECT_NE(error.find("default, owner/name:a.gguf"), std::string::npos) << error;
}

TEST_F(ModelCacheTest, NeverLeavesTheCacheForAName) {
  write_file(directory_.path() / "secret/model.gguf", "x");
  for (const char* name : {"../secret", "x/../../secret", "owner/..", "./name", "owner/name/x"}) {
    EXPECT_FALSE(cache_.resolve(name).has_value()) << name;
  }
  put("owner/name/a.gguf");
  EXPECT_FALSE(cache_.resolve("owner/name:../../../secret/model.gguf").has_value());
}

TEST_F(ModelCacheTest, FollowsTheXdgSpecification) {
  const ScopedVariable home("HOME", "/home/someone");
  {
    const ScopedVariable cache("XDG_CACHE_HOME", "/tmp/elsewhere");
    EXPECT_EQ(ModelCache::of_user()->root(), "/tmp/elsewhere/fathom");
  }
  const ScopedVariable cache("XDG_CACHE_HOME", "relative/is/ignored");
  EXPECT_EQ(ModelCache::of_user()->root(), "/home/someone/.cache/fathom");
}

TEST(RepositoryName, IsTwoPlainParts) {
  EXPECT_TRUE(is_repository_name("deepseek-ai/DeepSeek-V3.1"));
  for (const char* name : {"", "name", "a/b/c", "a/", "/b", "../b", "a/..", "a/.b", "a b/c",
                           "a/b\n", "a/b:c", "-a/b"}) {
    EXPECT_FALSE(is_repository_name(name)) << name;
  }
}

}  // namespace
}  // namespace fathom::hub
