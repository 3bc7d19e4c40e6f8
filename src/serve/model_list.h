// The models that are served, by the names that clients ask for. Adapters may come and go while the
// server runs: whoever holds a model keeps it. Any thread.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "serve/served_model.h"

namespace fathom::serve {

class ModelList {
 public:
  using Entry = std::shared_ptr<const ServedModel>;

  // False, and no change, if the name is taken.
  bool add(ServedModel model);
  // Null if there is no such model.
  Entry find(std::string_view name) const;
  // What was taken off the list; null if there is no such adapter. Models themselves stay.
  Entry remove_adapter(std::string_view name);

  std::vector<Entry> all() const;  // in the order they came
  Entry first() const;             // answers who names none; there is one

 private:
  mutable std::mutex mutex_;
  std::vector<Entry> models_;
};

}  // namespace fathom::serve
