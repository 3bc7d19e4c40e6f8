#include "engine/prefix_cache.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "base/assert.h"

namespace fathom {

class PrefixCache::Node {
 public:
  int32_t page = 0;
  int32_t locks = 0;
  uint64_t step = 0;             // that computes it
  Children* siblings = nullptr;  // the map that owns this node,
  const Key* key = nullptr;      // and where in it
  Children children;
  std::list<Node*>::iterator place;  // in idle_ or busy_
};

PrefixCache::PrefixCache(KvCache& cache) : cache_(cache) {}

PrefixCache::~PrefixCache() {
  FATHOM_ASSERT(busy_.empty());
  while (evict()) {
  }
}

int32_t PrefixCache::page(const Node& node) {
  return node.page;
}

PrefixCache::Children& PrefixCache::after(const Path& path, int64_t realm) {
  return path.empty() ? roots_[realm] : path.back()->children;
}

void PrefixCache::lock(Node& node) {
  if (node.locks++ == 0) busy_.splice(busy_.begin(), idle_, node.place);
}

PrefixCache::Node* PrefixCache::enter(Path& path, PageTokens tokens, int64_t realm) {
  Children& children = after(path, realm);
  if (children.empty()) return nullptr;
  Key key;
  std::copy(tokens.begin(), tokens.end(), key.begin());
  const auto found = children.find(key);
  if (found == children.end()) return nullptr;
  Node* node = found->second.get();
  lock(*node);
  path.push_back(node);
  return node;
}

bool PrefixCache::add(Path& path, PageTokens tokens, int32_t page, int64_t realm) {
  Key key;
  std::copy(tokens.begin(), tokens.end(), key.begin());
  Children& children = after(path, realm);
  const auto [entry, is_new] = children.try_emplace(key);
  if (!is_new) return false;
  cache_.share(page);
  entry->second = std::make_unique<Node>();
  Node* node = entry->second.get();
  node->page = page;
  node->locks = 1;
  node->step = step_;
  node->siblings = &children;
  node->key = &entry->first;
  node->place = busy_.insert(busy_.begin(), node);
  path.push_back(node);
  ++pages_;
  return true;
}

// In the order of their tokens, pages that begin alike are neighbours, and the further from where
// `tokens` would stand, the less they have in common. So the nearest on either side decide.
PrefixCache::Alike PrefixCache::most_alike(const Path& path, std::span<const int32_t> tokens,
                                           int64_t realm) {
  FATHOM_ASSERT(!tokens.empty() && std::ssize(tokens) <= CachePool::kPageTokens);
  const Children& children = after(path, realm);
  Key key;
  key.fill(std::numeric_limits<int32_t>::min());
  std::copy(tokens.begin(), tokens.end(), key.begin());
  const auto place = children.lower_bound(key);
  Node* best = nullptr;
  int64_t longest = 0;
  // True once nothing better can come on this side.
  const auto look_at = [&](const Children::value_type& child) {
    const int64_t common =
        std::mismatch(tokens.begin(), tokens.end(), child.first.begin()).first - tokens.begin();
    if (common <= longest) return true;
    if (child.second->step == step_) return false;  // not computed yet
    best = child.second.get();
    longest = common;
    return true;
  };
  for (auto next = place; next != children.end() && !look_at(*next); ++next) {
  }
  for (auto next = std::make_reverse_iterator(place); next != children.rend() && !look_at(*next);
       ++next) {
  }
  if (best == nullptr) return {};
  // Its parent is the last of a locked path, so that the order of idle_ stays right.
  if (best->locks == 0) idle_.splice(idle_.begin(), idle_, best->place);
  return {.page = best->page, .tokens = longest};
}

void PrefixCache::leave(Path& path) {
  for (; !path.empty(); path.pop_back()) {
    Node& node = *path.back();
    FATHOM_ASSERT(node.locks > 0);
    if (--node.locks == 0) idle_.splice(idle_.begin(), busy_, node.place);
  }
}

bool PrefixCache::evict() {
  if (idle_.empty()) return false;
  Node* node = idle_.back();
  FATHOM_ASSERT(node->children.empty());
  idle_.pop_back();
  cache_.release(node->page);
  const Key key = *node->key;  // the map's own copy goes with the node
  node->siblings->erase(key);
  --pages_;
  ++evicted_;
  return true;
}

}  // namespace fathom
