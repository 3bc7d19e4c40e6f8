#include "serve/model_list.h"

#include <algorithm>
#include <utility>

namespace fathom::serve {

bool ModelList::add(ServedModel model) {
  auto entry = std::make_shared<const ServedModel>(std::move(model));
  const std::lock_guard lock(mutex_);
  const bool taken =
      std::ranges::any_of(models_, [&](const Entry& other) { return other->name == entry->name; });
  if (!taken) models_.push_back(std::move(entry));
  return !taken;
}

ModelList::Entry ModelList::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found =
      std::ranges::find_if(models_, [&](const Entry& model) { return model->name == name; });
  return found == models_.end() ? nullptr : *found;
}

ModelList::Entry ModelList::remove_adapter(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find_if(models_, [&](const Entry& model) {
    return model->adapter != nullptr && model->name == name;
  });
  if (found == models_.end()) return nullptr;
  Entry removed = std::move(*found);
  models_.erase(found);
  return removed;
}

std::vector<ModelList::Entry> ModelList::all() const {
  const std::lock_guard lock(mutex_);
  return models_;
}

ModelList::Entry ModelList::first() const {
  const std::lock_guard lock(mutex_);
  return models_.front();
}

}  // namespace fathom::serve
