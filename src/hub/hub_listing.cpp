#include "hub/hub_listing.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/progress.h"
#include "hub/model_cache.h"

namespace fathom::hub {
namespace {

using nlohmann::json;

// With room for what we add to it, a file name that every file system takes.
constexpr size_t kMaxName = 200;

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// -1: absent, negative or beyond what a file can have.
int64_t size_of(const json& object) {
  const auto found = object.find("size");
  if (found == object.end() || !found->is_number_integer()) return -1;
  if (found->is_number_unsigned() && found->get<uint64_t>() > uint64_t{INT64_MAX}) return -1;
  return found->get<int64_t>();
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

bool in_subdirectory(const HubFile& file) {
  return file.name.find('/') != std::string::npos;
}

// A projector for images rides along in some repositories; it is no language model.
bool is_gguf_model(const HubFile& file) {
  return is_gguf_name(file.name) && lower(file.name).find("mmproj") == std::string::npos;
}

// stem -> its shards, in order.
std::map<std::string, std::vector<HubFile>> gguf_models(const HubListing& listing) {
  std::map<std::string, std::vector<HubFile>> models;
  for (const auto& file : listing.files) {
    if (is_gguf_model(file)) models[parse_gguf_name(file.name).stem].push_back(file);
  }
  for (auto& [stem, shards] : models) std::ranges::sort(shards, {}, &HubFile::name);
  return models;
}

std::string describe(const std::map<std::string, std::vector<HubFile>>& models) {
  std::string text;
  for (const auto& [stem, shards] : models) {
    int64_t bytes = 0;
    for (const auto& shard : shards) bytes += shard.size;
    text += fmt::format("\n  {}  {}", shards[0].name, format_bytes(bytes));
  }
  return text;
}

bool is_checkpoint_part(const HubFile& file, bool standard_names) {
  if (in_subdirectory(file)) return false;
  const std::string& name = file.name;
  if (name.ends_with(".safetensors")) {
    // Some repositories carry the same weights a second time, as consolidated*.safetensors.
    return !standard_names || name.starts_with("model");
  }
  return name.ends_with(".json") || name.ends_with(".jinja") || name == "tokenizer.model" ||
         name == "merges.txt" || name.starts_with("LICENSE");
}

Result<Selection> select_whole_repository(const HubListing& listing, std::string_view repository) {
  const auto is_weights = [](const HubFile& file) {
    return !in_subdirectory(file) && file.name.ends_with(".safetensors");
  };
  Selection selection;
  if (std::ranges::any_of(listing.files, is_weights)) {
    const bool standard_names = std::ranges::any_of(listing.files, [&](const HubFile& file) {
      return is_weights(file) && file.name.starts_with("model");
    });
    selection.checkpoint = true;
    for (const auto& file : listing.files) {
      if (is_checkpoint_part(file, standard_names)) selection.files.push_back(file);
    }
    // What is small comes first: a wrong repository shows early.
    std::ranges::sort(selection.files, {}, [&](const HubFile& file) {
      return std::pair(is_weights(file), std::string_view(file.name));
    });
    return selection;
  }
  const auto models = gguf_models(listing);
  if (models.empty()) {
    return fail(
        "{}: the repository holds neither safetensors nor GGUF weights, so there is "
        "nothing to run. Look for a conversion of it on the hub.",
        repository);
  }
  if (models.size() > 1) {
    return fail(
        "{}: the repository holds several models; say which with --file (a part of the "
        "name will do):{}",
        repository, describe(models));
  }
  selection.files = models.begin()->second;
  return selection;
}

}  // namespace

bool is_safe_file_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxName) return false;
  const bool plain = std::ranges::all_of(name, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte != 0x7f && c != '\\' && c != ':';
  });
  if (!plain) return false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const auto part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part == kBookkeeping) {
      return false;
    }
    begin = end + 1;
  }
  return true;
}

Result<HubListing> parse_hub_listing(std::string_view text, std::string_view source) {
  const auto document = json::parse(text, nullptr, false);
  if (!document.is_object() || !document.contains("siblings") || !document["siblings"].is_array()) {
    return fail(
        "{}: the answer is not a hub's list of files. Check the endpoint (--endpoint or "
        "HF_ENDPOINT).",
        source);
  }
  HubListing listing;
  const std::string commit = text_of(document, "sha");
  if (is_hex_digest(commit, DigestKind::kGitBlobSha1)) listing.commit = commit;
  for (const auto& sibling : document["siblings"]) {
    if (!sibling.is_object()) continue;
    HubFile file;
    file.name = text_of(sibling, "rfilename");
    file.size = size_of(sibling);
    const auto lfs = sibling.find("lfs");
    if (lfs != sibling.end() && lfs->is_object()) {
      file.digest = lower(text_of(*lfs, "sha256"));
      if (file.size < 0) file.size = size_of(*lfs);
    } else {
      file.digest_kind = DigestKind::kGitBlobSha1;
      file.digest = lower(text_of(sibling, "blobId"));
    }
    if (!is_hex_digest(file.digest, file.digest_kind)) file.digest.clear();
    if (!file.name.empty() && file.size >= 0) listing.files.push_back(std::move(file));
  }
  std::ranges::sort(listing.files, {}, &HubFile::name);
  const auto repeated = std::ranges::unique(listing.files, {}, &HubFile::name);
  listing.files.erase(repeated.begin(), repeated.end());
  return listing;
}

Result<Selection> select_files(const HubListing& listing, std::string_view repository,
                               std::string_view file) {
  Selection selection;
  if (file.empty()) {
    FATHOM_TRY(selection, select_whole_repository(listing, repository));
  } else {
    const auto models = gguf_models(listing);
    std::vector<std::string> matches;  // stems
    const HubFile* exact = nullptr;
    for (const auto& candidate : listing.files) {
      if (candidate.name == file) exact = &candidate;
    }
    if (exact != nullptr && !is_gguf_model(*exact)) {
      selection.files = {*exact};
    } else if (exact != nullptr) {
      selection.files = models.at(parse_gguf_name(exact->name).stem);
    } else {
      for (const auto& [stem, shards] : models) {
        if (lower(shards[0].name).find(lower(file)) != std::string::npos) matches.push_back(stem);
      }
      if (matches.size() > 1) {
        return fail("{}: several files match \"{}\"; say more of the name:{}", repository, file,
                    describe(models));
      }
      if (matches.empty()) {
        return fail("{}: the repository holds no file {}.{}", repository, file,
                    models.empty() ? "" : " Its models are:" + describe(models));
      }
      selection.files = models.at(matches[0]);
    }
  }
  for (const auto& chosen : selection.files) {
    if (!is_safe_file_name(chosen.name)) {
      return fail(
          "{}: the hub lists a file whose name leads out of the repository or is not "
          "printable; nothing was fetched. Report it to the hub.",
          repository);
    }
    if (chosen.digest.empty()) {
      return fail(
          "{}: the hub gives no checksum for {}, so it could not be checked. Use an "
          "endpoint that does.",
          repository, chosen.name);
    }
  }
  return selection;
}

}  // namespace fathom::hub
