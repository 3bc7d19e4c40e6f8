// What a run of the quantiser has finished, so that the next one goes on where it was interrupted,
// whatever interrupted it. Beside the output, in OUT.partial/:
//
//   journal     lines "FINGERPRINT JSON": the command, the tensors' types, then one line for each
//               finished layer. Each fingerprint is of its line and all before, so that a torn or
//               damaged line ends what counts.
//   stream.N    the calibration text's residual stream after N layers; one at a time
//   model...    the output as far as it is, under the names its writer gives it
//
// A layer's line is written when its tensors and its stream are on the disk. One process at a time
// holds the folder; one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "compress/tensor_plan.h"

namespace fathom {

class QuantizeJournal {
 public:
  using Note = std::function<void(std::string_view)>;

  // command: all that the result depends on, as a JSON object. Remains of the same command are
  // taken up; those without a finished layer, or whose journal is damaged, are begun anew, which is
  // noted. Fails (kUsage) where another command has finished layers there, and says in what it
  // differs.
  static Result<QuantizeJournal> open(const std::filesystem::path& output,
                                      const std::string& command, const Note& note);
  QuantizeJournal(QuantizeJournal&& other) noexcept;
  QuantizeJournal& operator=(QuantizeJournal&& other) = delete;
  ~QuantizeJournal();  // removes the folder, unless it was kept

  const std::filesystem::path& folder() const { return folder_; }
  int64_t layers() const { return layers_; }  // finished
  int64_t unreached() const { return unreached_; }

  // The types that an earlier run chose, given to the plan; false: there are none.
  bool restore_types(std::vector<PlannedTensor>& plan) const;
  Status set_types(const std::vector<PlannedTensor>& plan);

  // The stream after the finished layers; empty where it cannot be had.
  std::vector<float> stream() const;
  // unreached: of all layers so far. The stream may be empty, for methods that have none.
  Status add_layer(int64_t unreached, std::span<const float> stream);

  // Forgets all layers, and all files but the journal.
  Status restart();
  // What was done stays when the object goes, if that is at least a layer.
  void keep() { kept_ = layers_ > 0; }

 private:
  QuantizeJournal(std::filesystem::path folder, int descriptor)
      : folder_(std::move(folder)), descriptor_(descriptor) {}
  Status read(const std::string& command, const Note& note);
  Status add_line(const std::string& json);
  std::filesystem::path stream_path(int64_t layers) const;

  std::filesystem::path folder_;
  int descriptor_ = -1;
  std::string command_;
  uint64_t fingerprint_ = 0;
  int64_t end_ = 0;  // of the last line that counts
  std::vector<int> types_;
  int64_t layers_ = 0;
  int64_t unreached_ = 0;
  bool kept_ = false;
};

}  // namespace fathom
