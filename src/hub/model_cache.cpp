#include "hub/model_cache.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>

namespace fathom::hub {
namespace fs = std::filesystem;
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

bool is_inside_bookkeeping(const fs::path& relative) {
  return std::ranges::any_of(relative, [](const fs::path& part) { return part == kBookkeeping; });
}

struct FoundFile {
  std::string relative;  // to the repository, with '/'
  int64_t bytes = 0;
};

// All regular files of a repository directory, links included, bookkeeping left out, sorted.
std::vector<FoundFile> files_of(const fs::path& directory) {
  std::vector<FoundFile> files;
  std::error_code error;
  fs::recursive_directory_iterator it(directory, fs::directory_options::skip_permission_denied,
                                      error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    const fs::path relative = it->path().lexically_relative(directory);
    if (is_inside_bookkeeping(relative) || !it->is_regular_file(ignored)) continue;
    const auto bytes = it->file_size(ignored);
    files.push_back({relative.generic_string(), ignored ? 0 : static_cast<int64_t>(bytes)});
  }
  std::ranges::sort(files, {}, &FoundFile::relative);
  return files;
}

bool is_checkpoint_directory(const fs::path& directory) {
  std::error_code error;
  if (!fs::is_regular_file(directory / "config.json", error)) return false;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".safetensors") return true;
  }
  return false;
}

bool is_unfinished(const fs::path& directory) {
  std::error_code error;
  return fs::exists(directory / kBookkeeping / "unfinished", error);
}

// GGUF models of a directory: the first shard of each, with the bytes of all its shards.
std::vector<FoundFile> gguf_models(const fs::path& directory) {
  std::map<std::string, FoundFile> models;
  for (const auto& file : files_of(directory)) {
    if (!is_gguf_name(file.relative)) continue;
    const auto name = parse_gguf_name(file.relative);
    auto& model = models[name.stem];
    model.bytes += file.bytes;
    if (name.first_shard) model.relative = file.relative;
  }
  std::vector<FoundFile> result;
  for (auto& [stem, model] : models) {
    if (!model.relative.empty()) result.push_back(std::move(model));
  }
  return result;
}

bool shard_suffix(std::string_view stem, size_t& length, bool& first) {
  // "-00001-of-00003"
  constexpr size_t kLength = 15;
  if (stem.size() <= kLength) return false;
  const auto suffix = stem.substr(stem.size() - kLength);
  for (size_t i = 0; i < kLength; ++i) {
    const bool digit = std::isdigit(static_cast<unsigned char>(suffix[i])) != 0;
    const bool want_digit = (i >= 1 && i <= 5) || i >= 10;
    if (want_digit ? !digit : suffix[i] != "-00001-of-"[i]) return false;
  }
  length = kLength;
  first = suffix.substr(1, 5) == "00001";
  return true;
}

}  // namespace

bool is_gguf_name(std::string_view file) {
  return lower(file).ends_with(".gguf");
}

GgufName parse_gguf_name(std::string_view file) {
  std::string_view stem = file.substr(0, file.size() - std::string_view(".gguf").size());
  GgufName name;
  size_t suffix = 0;
  if (shard_suffix(stem, suffix, name.first_shard)) stem.remove_suffix(suffix);
  name.stem = stem;
  return name;
}

bool is_repository_name(std::string_view name) {
  const size_t slash = name.find('/');
  if (slash == std::string_view::npos) return false;
  const auto is_part = [](std::string_view part) {
    return !part.empty() && part.size() <= 96 && part[0] != '.' && part[0] != '-' &&
           std::ranges::all_of(part, [](char c) {
             return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' ||
                    c == '-';
           });
  };
  return is_part(name.substr(0, slash)) && is_part(name.substr(slash + 1));
}

Result<ModelCache> ModelCache::of_user() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  // The XDG specification asks that relative paths be ignored.
  if (cache != nullptr && fs::path(cache).is_absolute()) {
    return ModelCache(fs::path(cache) / "fathom");
  }
  const char* home = std::getenv("HOME");
  if (home != nullptr && fs::path(home).is_absolute()) {
    return ModelCache(fs::path(home) / ".cache" / "fathom");
  }
  return fail(
      "Nowhere to keep models: neither XDG_CACHE_HOME nor HOME is an absolute path. Set one.");
}

fs::path ModelCache::default_model_directory() const {
  return models() / kDefaultModelName;
}

fs::path ModelCache::repository_directory(std::string_view repository,
                                          std::string_view revision) const {
  std::string name(repository);
  if (!revision.empty() && revision != "main") {
    name += '@';
    for (const char c : revision) {
      const bool plain =
          std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
      name += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return models() / name;
}

Result<fs::path> ModelCache::resolve(std::string_view model) const {
  if (model.empty()) return usage_error("MODEL is empty: give a path, or a name in the cache.");
  std::error_code error;
  if (model == kDefaultModelName) {
    const auto found = gguf_models(default_model_directory());
    if (found.empty()) {
      return fail(
          "The default model is not in the cache ({}). Fetch it with `fathom pull default`, or "
          "name a local model.",
          root_.string());
    }
    return default_model_directory() / found[0].relative;
  }
  if (fs::exists(fs::path(model), error)) return fs::path(model);
  // A directory we may not look into is not the same as a missing file.
  if (error && error != std::errc::no_such_file_or_directory &&
      error != std::errc::not_a_directory) {
    return fail("{}: cannot be opened: {}", model, error.message());
  }

  const size_t colon = model.find(':');
  const auto name = model.substr(0, colon);
  const auto file = colon == std::string_view::npos ? "" : model.substr(colon + 1);
  const size_t at = name.find('@');
  const auto repository = name.substr(0, at);
  const auto revision = at == std::string_view::npos ? "" : name.substr(at + 1);
  if (!is_repository_name(repository)) {
    return fail("{}: there is no such file or directory, and no such name in the cache. {}", model,
                describe_contents());
  }
  const fs::path directory = repository_directory(repository, revision);
  if (!fs::is_directory(directory, error)) {
    std::string command = fmt::format("fathom pull {}", repository);
    if (!revision.empty()) command += fmt::format(" --revision {}", revision);
    if (!file.empty()) command += fmt::format(" --file {}", file);
    return fail(
        "{}: there is no such file or directory, and it is not in the cache. If it is a "
        "repository of the hub, fetch it with `{}`. {}",
        model, command, describe_contents());
  }
  return resolve_in_repository(directory, name, file);
}

Result<fs::path> ModelCache::resolve_in_repository(const fs::path& directory, std::string_view name,
                                                   std::string_view file) const {
  const size_t at = name.find('@');
  std::string pull = fmt::format("fathom pull {}", name.substr(0, at));
  if (at != std::string_view::npos) pull += fmt::format(" --revision {}", name.substr(at + 1));

  const auto models = gguf_models(directory);
  if (file.empty()) {
    if (is_unfinished(directory)) {
      return fail("{}: it was not fetched to the end. Go on with `{}`.", name, pull);
    }
    if (is_checkpoint_directory(directory)) return directory;
    if (models.size() == 1) return directory / models[0].relative;
    if (models.empty()) {
      return fail("{}: the cache holds no model of this repository in {}. Fetch it with `{}`.",
                  name, directory.string(), pull);
    }
  }

  std::vector<std::string> matches;
  std::string all;
  for (const auto& model : models) {
    if (model.relative == file) return directory / model.relative;
    if (!file.empty() && lower(model.relative).find(lower(file)) != std::string::npos) {
      matches.push_back(model.relative);
    }
    all += fmt::format("{}{}", all.empty() ? "" : ", ", model.relative);
  }
  if (matches.size() == 1) return directory / matches[0];
  if (file.empty()) {
    return fail(
        "{}: the cache holds several models of this repository; say which as {}:FILE. "
        "There are: {}.",
        name, name, all);
  }
  if (matches.empty()) {
    return fail(
        "{}:{}: the cache holds no such file of this repository (there are: {}). Fetch it "
        "with `{} --file {}`.",
        name, file, all.empty() ? "none" : all, pull, file);
  }
  return fail("{}:{}: several files match ({}). Say more of the name.", name, file,
              fmt::join(matches, ", "));
}

std::vector<CachedModel> ModelCache::list() const {
  std::vector<CachedModel> result;
  for (const auto& model : gguf_models(default_model_directory())) {
    result.push_back(
        {std::string(kDefaultModelName), default_model_directory() / model.relative, model.bytes});
    break;
  }
  std::error_code error;
  for (const auto& owner : fs::directory_iterator(models(), error)) {
    if (owner.path().filename() == kDefaultModelName) continue;
    std::error_code inner;
    for (const auto& repository : fs::directory_iterator(owner.path(), inner)) {
      const fs::path& directory = repository.path();
      std::string name = owner.path().filename().string() + "/" + directory.filename().string();
      // A revision's slashes and such are percent-encoded in the directory's name.
      for (size_t i = name.find('%'); i != std::string::npos; i = name.find('%', i + 1)) {
        if (i + 2 >= name.size()) break;
        const auto code = std::strtoul(name.substr(i + 1, 2).c_str(), nullptr, 16);
        name.replace(i, 3, 1, static_cast<char>(code));
      }
      if (is_checkpoint_directory(directory) && !is_unfinished(directory)) {
        CachedModel model{name, directory, 0};
        for (const auto& file : files_of(directory)) {
          if (!is_gguf_name(file.relative)) model.bytes += file.bytes;
        }
        result.push_back(std::move(model));
      }
      for (const auto& model : gguf_models(directory)) {
        result.push_back({name + ":" + model.relative, directory / model.relative, model.bytes});
      }
    }
  }
  std::ranges::sort(result, {}, &CachedModel::name);
  return result;
}

std::string ModelCache::describe_contents() const {
  const auto models = list();
  if (models.empty()) {
    return "The cache is empty; `fathom pull default` fetches a small model to start with.";
  }
  constexpr size_t kShown = 8;
  std::string names;
  for (size_t i = 0; i < std::min(models.size(), kShown); ++i) {
    names += fmt::format("{}{}", i == 0 ? "" : ", ", models[i].name);
  }
  if (models.size() > kShown) names += fmt::format(" and {} more", models.size() - kShown);
  return fmt::format("The cache holds: {}.", names);
}

}  // namespace fathom::hub
