// Pulls from a hub on loopback that behaves: what is fetched, where it lands, what is refused.
// tests/hub/resume_test.cpp has the connections that break.
#include "hub/pull.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "hub/pull_fixture.h"

namespace fathom::hub {
namespace {

TEST_F(PullTest, FetchesAGgufFileInPiecesThatTravelAtOnce) {
  const std::string content = test_content(3'000'000);
  hub_.put("model.gguf", {content});
  hub_.set_amend([](const auto&, auto& response) { response.bytes_per_second = 4'000'000; });
  const auto model = pull_model();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(read_file(model->path), content);
  EXPECT_EQ(model->name, "owner/name:model.gguf");
  EXPECT_EQ(model->bytes, 3'000'000);
  EXPECT_EQ(*cache_.resolve("owner/name"), model->path);
  EXPECT_GT(hub_.server.most_at_once(), 1);
  EXPECT_LE(hub_.server.most_at_once(), options_.download.parallel);
  EXPECT_EQ(hub_.content_bytes(), 3'000'000);
}

TEST_F(PullTest, FetchesWhatACheckpointNeedsAndNoMore) {
  const std::map<std::string, FakeHub::File> wanted = {
      {"config.json", {"{}", false}},
      {"tokenizer.json", {"{\"a\": 1}", false}},
      {"chat_template.jinja", {"{{ messages }}", false}},
      {"generation_config.json", {"", false}},  // an empty file
      {"model-00001-of-00002.safetensors", {test_content(700'000)}},
      {"model-00002-of-00002.safetensors", {test_content(500'000, 2)}},
      {"model.safetensors.index.json", {"{}", false}},
  };
  for (const auto& [name, file] : wanted) hub_.put(name, file);
  const std::vector<std::string> unwanted = {"README.md",         ".gitattributes",
                                             "pytorch_model.bin", "consolidated.safetensors",
                                             "onnx/model.onnx",   "original/params.json"};
  for (const auto& name : unwanted) hub_.put(name, {"unwanted", false});
  const auto model = pull_model();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->path, repository());
  EXPECT_EQ(model->files, 7);
  for (const auto& [name, file] : wanted) {
    EXPECT_TRUE(fs::exists(repository() / name)) << name;
    EXPECT_EQ(read_file(repository() / name), file.content) << name;
  }
  for (const auto& name : unwanted) EXPECT_FALSE(fs::exists(repository() / name)) << name;
  EXPECT_EQ(*cache_.resolve("owner/name"), repository());
}

TEST_F(PullTest, AsksForEverythingAtTheCommitOfTheListing) {
  hub_.put("model.gguf", {"gguf"});
  options_.revision = "refs/pr/1";
  const auto model = pull_model();
  ASSERT_TRUE(model) << model.error().message;
  const auto records = hub_.server.records();
  EXPECT_EQ(records[0].request.path, "/api/models/owner/name/revision/refs%2Fpr%2F1?blobs=true");
  EXPECT_EQ(records[1].request.path,
            fmt::format("/owner/name/resolve/{}/model.gguf", FakeHub::kCommit));
  EXPECT_EQ(model->name, "owner/name@refs/pr/1:model.gguf");
  EXPECT_EQ(*cache_.resolve("owner/name@refs/pr/1"), model->path);
}

TEST_F(PullTest, FetchesNothingASecondTime) {
  hub_.put("config.json", {"{}", false});
  hub_.put("model.safetensors", {test_content(400'000)});
  ASSERT_TRUE(pull_model());
  const int requests = hub_.content_requests();
  const auto again = pull_model();
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->already_there);
  EXPECT_EQ(hub_.content_requests(), requests);
}

TEST_F(PullTest, FetchesOnlyTheFileThatChangedOnTheHub) {
  hub_.put("config.json", {"{}", false});
  hub_.put("model.safetensors", {test_content(400'000)});
  ASSERT_TRUE(pull_model());
  const int64_t bytes = hub_.content_bytes();
  hub_.put("config.json", {"{\"new\": true}", false});
  ASSERT_TRUE(pull_model());
  EXPECT_EQ(read_file(repository() / "config.json"), "{\"new\": true}");
  EXPECT_EQ(hub_.content_bytes() - bytes, 13);
}

TEST_F(PullTest, FetchesAgainWhatWasDamagedOnDisk) {
  hub_.put("model.gguf", {"the model"});
  const auto model = pull_model();
  ASSERT_TRUE(model);
  write_file(model->path, "the m0del");
  ASSERT_TRUE(pull_model());
  EXPECT_EQ(read_file(model->path), "the model");
}

TEST_F(PullTest, ListsTheQuantisationsOfARepositoryAndTakesOneByAPartOfItsName) {
  hub_.put("m.Q4_K_M.gguf", {"four"});
  hub_.put("m.Q8_0.gguf", {"eight"});
  const std::string message = error();
  EXPECT_NE(message.find("--file"), std::string::npos) << message;
  EXPECT_NE(message.find("m.Q4_K_M.gguf  4 B\n  m.Q8_0.gguf  5 B"), std::string::npos) << message;
  options_.file = "q8_0";
  const auto model = pull_model();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(read_file(model->path), "eight");
  EXPECT_FALSE(fs::exists(repository() / "m.Q4_K_M.gguf"));
}

TEST_F(PullTest, FetchesAllShardsOfASplitFile) {
  hub_.put("Q4/m-00001-of-00002.gguf", {"one"});
  hub_.put("Q4/m-00002-of-00002.gguf", {"two"});
  hub_.put("Q8/m-00001-of-00001.gguf", {"other"});
  options_.file = "Q4/m-00001-of-00002.gguf";
  const auto model = pull_model();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->path, repository() / "Q4/m-00001-of-00002.gguf");
  EXPECT_EQ(read_file(repository() / "Q4/m-00002-of-00002.gguf"), "two");
  EXPECT_FALSE(fs::exists(repository() / "Q8"));
}

TEST_F(PullTest, RefusesBytesThatDoNotFitTheDigestAndKeepsNothingOfThem) {
  hub_.put("model.gguf", {.content = test_content(600'000), .listed_digest = std::string(64, 'a')});
  const std::string message = error();
  EXPECT_NE(message.find("not the file that the hub lists"), std::string::npos) << message;
  expect_no_model_files();
  EXPECT_TRUE(parts().empty());
}

TEST_F(PullTest, ChecksSmallFilesAgainstTheirGitBlobId) {
  hub_.put("model.gguf", {.content = "tiny", .lfs = false, .listed_digest = std::string(40, 'a')});
  const std::string message = error();
  EXPECT_NE(message.find("not the file that the hub lists"), std::string::npos) << message;
  expect_no_model_files();
}

TEST_F(PullTest, RefusesAFileThatComesWithoutADigest) {
  hub_.put("model.gguf", {.content = "x", .listed_digest = "none"});
  EXPECT_NE(error().find("no checksum for model.gguf"), std::string::npos) << error();
}

TEST_F(PullTest, RefusesAFileOfAnotherSizeThanListed) {
  hub_.put("model.gguf", {.content = test_content(600'000), .listed_size = 500'000});
  EXPECT_FALSE(pull_model());
  expect_no_model_files();
}

TEST_F(PullTest, NeverWritesOutsideTheRepositoryDirectory) {
  for (const char* name :
       {"../../../evil.gguf", "/tmp/fathom-evil.gguf", "a/../../evil.gguf", ".fathom/evil.gguf",
        "a\\..\\evil.gguf", "./evil.gguf", "a//evil.gguf", "evil\n.gguf"}) {
    FakeHub hub;
    hub.put(name, {"evil"});
    options_.endpoint = hub.server.url();
    const std::string message = error();
    EXPECT_NE(message.find("leads out of the repository"), std::string::npos) << message;
    EXPECT_EQ(hub.content_requests(), 0) << name;
  }
  for (const auto& entry : fs::recursive_directory_iterator(directory_.path())) {
    EXPECT_EQ(entry.path().string().find("evil"), std::string::npos) << entry.path();
  }
}

TEST_F(PullTest, SendsTheTokenToTheHubAndNotToWhereItRedirects) {
  const std::string content = test_content(600'000);
  HttpServer storage([&](const HttpServer::Request& request) {
    HttpServer::Response response{.status = 206};
    long long begin = 0;
    long long end = 0;
    std::sscanf(request.header("range").c_str(), "bytes=%lld-%lld", &begin, &end);
    response.body = content.substr(begin, end - begin + 1);
    response.headers["Content-Range"] = fmt::format("bytes {}-{}/{}", begin, end, content.size());
    return response;
  });
  hub_.put("model.gguf", {content});
  hub_.set_amend([&](const HttpServer::Request& request, HttpServer::Response& response) {
    if (!FakeHub::is_content(request)) return;
    response = {.status = 302, .body = "Found. Redirecting"};
    response.headers["Location"] = storage.url() + "/signed?key=1";
  });
  options_.token = "hf_secret";
  const auto model = pull_model();
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(read_file(model->path), content);
  for (const auto& record : hub_.server.records()) {
    EXPECT_EQ(record.request.header("authorization"), "Bearer hf_secret") << record.request.path;
  }
  ASSERT_FALSE(storage.records().empty());
  for (const auto& record : storage.records()) {
    EXPECT_EQ(record.request.header("authorization"), "");
    EXPECT_EQ(record.request.path, "/signed?key=1");
  }
}

TEST_F(PullTest, KeepsTheTokenOnARedirectWithinTheHub) {
  hub_.put("model.gguf", {"x"});
  hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
    if (!request.path.starts_with("/api/models/owner/name/revision/main?")) return;
    response = {.status = 307};
    response.headers["Location"] = "/api/models/owner/name/revision/moved";
  });
  options_.token = "hf_secret";
  ASSERT_TRUE(pull_model());
  EXPECT_EQ(hub_.server.records()[1].request.header("authorization"), "Bearer hf_secret");
}

TEST_F(PullTest, GivesUpOnRedirectsInCircles) {
  hub_.set_amend([](const HttpServer::Request& request, HttpServer::Response& response) {
    response = {.status = 302};
    response.headers["Location"] = request.path;
  });
  EXPECT_NE(error().find("circles"), std::string::npos) << error();
}

TEST_F(PullTest, TakesTheTokenAndTheEndpointFromTheEnvironment) {
  hub_.put("model.gguf", {"x"});
  const ScopedVariable endpoint("HF_ENDPOINT", hub_.server.url() + "/");
  const ScopedVariable token("HF_TOKEN", "hf_env");
  options_.endpoint.clear();
  ASSERT_TRUE(pull_model());
  EXPECT_EQ(hub_.server.records()[0].request.header("authorization"), "Bearer hf_env");
}

TEST_F(PullTest, RefusesATokenThatWouldAddAHeader) {
  options_.token = "hf_x\r\nX-Evil: 1";
  const auto result = pull_model();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
  EXPECT_TRUE(hub_.server.records().empty());
}

struct RefusedCase {
  int status;
  const char* token;
  const char* expected;
};
class PullRefusedTest : public PullTest, public testing::WithParamInterface<RefusedCase> {};

TEST_P(PullRefusedTest, SaysWhatToDoAndAsksOnlyOnce) {
  hub_.set_amend([](const auto&, auto& response) { response = {.status = GetParam().status}; });
  options_.token = GetParam().token;
  const std::string message = error();
  EXPECT_NE(message.find(GetParam().expected), std::string::npos) << message;
  EXPECT_EQ(hub_.server.records().size(), 1u);
  EXPECT_FALSE(fs::exists(repository()));
}
INSTANTIATE_TEST_SUITE_P(Statuses, PullRefusedTest,
                         testing::Values(RefusedCase{401, "", "set HF_TOKEN"},
                                         RefusedCase{401, "hf_x",
                                                     "does not accept the access token"},
                                         RefusedCase{403, "", "set HF_TOKEN"},
                                         RefusedCase{403, "hf_x", "accept conditions"},
                                         RefusedCase{404, "", "knows no such repository"},
                                         RefusedCase{410, "", "HTTP status 410"}));

TEST_F(PullTest, SaysThatTheRevisionIsUnknown) {
  hub_.set_amend([](const auto&, auto& response) {
    response = {.status = 404};
    response.headers["X-Error-Code"] = "RevisionNotFound";
  });
  options_.revision = "v9";
  EXPECT_NE(error().find("no revision v9"), std::string::npos) << error();
}

TEST_F(PullTest, SaysThatAFileIsUnknown) {
  hub_.put("m.Q8_0.gguf", {"eight"});
  options_.file = "Q2_K";
  const std::string message = error();
  EXPECT_NE(message.find("no file Q2_K"), std::string::npos) << message;
  EXPECT_NE(message.find("m.Q8_0.gguf"), std::string::npos) << message;
}

TEST_F(PullTest, SaysThatARepositoryHasNoWeightsOfAKnownFormat) {
  hub_.put("pytorch_model.bin", {"x"});
  EXPECT_NE(error().find("neither safetensors nor GGUF"), std::string::npos) << error();
}

TEST_F(PullTest, RefusesAnAnswerThatIsNoListing) {
  for (const char* body : {"<html>", "[]", "{\"siblings\": 3}", ""}) {
    hub_.set_amend([&](const auto&, auto& response) { response = {.body = body}; });
    EXPECT_NE(error().find("not a hub's list of files"), std::string::npos) << error();
  }
}

TEST_F(PullTest, RefusesNamesAndEndpointsThatMakeNoSense) {
  for (const char* name : {"name", "../x", "a/b/c", ""}) {
    options_.repository = name;
    const auto result = pull_model();
    ASSERT_FALSE(result) << name;
    EXPECT_EQ(result.error().kind, ErrorKind::kUsage) << name;
  }
  options_.repository = "owner/name";
  options_.endpoint = "ftp://127.0.0.1";
  const auto result = pull_model();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::kUsage);
}

TEST_F(PullTest, SaysThatTheHubCannotBeReached) {
  {
    const HttpServer gone([](const auto&) { return HttpServer::Response{}; });
    options_.endpoint = gone.url();
  }
  EXPECT_NE(error().find("list of files could not be had"), std::string::npos) << error();
}

TEST_F(PullTest, RefusesAServerWhoseCertificateNobodySigned) {
  FakeHub hub(true);
  hub.put("model.gguf", {"x"});
  options_.endpoint = hub.server.url();
  EXPECT_NE(error().find("certificate was not accepted"), std::string::npos) << error();
  EXPECT_TRUE(hub.server.records().empty());
}

TEST_F(PullTest, DoesNotFollowARedirectToAnythingButHttp) {
  hub_.set_amend([](const auto&, auto& response) {
    response = {.status = 302};
    response.headers["Location"] = "file:///etc/passwd";
  });
  EXPECT_NE(error().find("not HTTPS"), std::string::npos) << error();
}

TEST_F(PullTest, ChecksThatThereIsRoomBeforeItStarts) {
  hub_.put("model.gguf", {.content = "x", .listed_size = int64_t{1} << 62});
  EXPECT_NE(error().find("not enough space"), std::string::npos) << error();
  EXPECT_EQ(hub_.content_requests(), 0);
}

TEST_F(PullTest, SaysThatTheCacheCannotBeWritten) {
  hub_.put("model.gguf", {"x"});
  write_file(directory_.path() / "cache", "a file where a directory should be");
  EXPECT_NE(error().find("cannot make this directory"), std::string::npos) << error();
}

}  // namespace
}  // namespace fathom::hub
