#include "engine/prefix_cache.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace fathom {

class PrefixCache::Node {
 public:
  int32_t page = 0;
  int32_t locks = 0;
  Children* siblings = nullptr;  // the map that owns this node,
  const Key* key = nullptr;      // and where in it
  Children children;
  std::list<Node*>::iterator place;  // in idle_ or busy_
};

size_t PrefixCache::Hash::operator()(const Key& key) const {
  uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a over whole tokens, then mixed
  for (const int32_t token : key) {
    hash = (hash ^ static_cast<uint32_t>(token)) * 0x100000001b3U;
  }
  return hash ^ (hash >> 32);
}

PrefixCache::PrefixCache(KvCache& cache) : cache_(cache) {}

PrefixCache::~PrefixCache() {
  FATHOM_ASSERT(busy_.empty());
  while (evict()) {
  }
}

int32_t PrefixCache::page(const Node& node) {
  return node.page;
}

PrefixCache::Children& PrefixCache::after(const Path& path) {
  return path.empty() ? roots_ : path.back()->children;
}

void PrefixCache::lock(Node& node) {
  if (node.locks++ == 0) busy_.splice(busy_.begin(), idle_, node.place);
}

PrefixCache::Node* PrefixCache::enter(Path& path, PageTokens tokens) {
  Children& children = after(path);
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

bool PrefixCache::add(Path& path, PageTokens tokens, int32_t page) {
  Key key;
  std::copy(tokens.begin(), tokens.end(), key.begin());
  Children& children = after(path);
  const auto [entry, is_new] = children.try_emplace(key);
  if (!is_new) return false;
  cache_.share(page);
  entry->second = std::make_unique<Node>();
  Node* node = entry->second.get();
  node->page = page;
  node->locks = 1;
  node->siblings = &children;
  node->key = &entry->first;
  node->place = busy_.insert(busy_.begin(), node);
  path.push_back(node);
  ++pages_;
  return true;
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
