// Which beginnings of texts have their keys and values in the cache: a radix tree whose edges are
// whole pages of tokens, so that requests with an equal beginning share its pages (SGLang's
// RadixAttention, Zheng et al. 2024, at the granularity of pages). Of a page that begins alike and
// goes on otherwise, a copy can be taken: most_alike().
//
// Keys and values of one adapter are nothing to another: each `realm` has a tree of its own. A path
// stays in the realm it began in.
//
// The tree owns one reference to each of its pages. Sequences lock the nodes they use; what nobody
// has locked can be evicted, least recently used first. One thread; the KvCache must outlive it,
// and all locks must be gone before it is.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/kv_cache.h"

namespace fathom {

class PrefixCache {
 public:
  class Node;  // one page
  // Locked nodes from the root on: the first pages of a sequence.
  using Path = std::vector<Node*>;
  using PageTokens = std::span<const int32_t, CachePool::kPageTokens>;

  explicit PrefixCache(KvCache& cache);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  // Locks the node that follows `path` with these tokens, and adds it to the path. Null if the tree
  // has none.
  Node* enter(Path& path, PageTokens tokens, int64_t realm = 0);
  // Makes that node, of a page that holds (or will hold after this step) these tokens; the tree
  // becomes one more owner of the page. False, and no change, if there is such a node already.
  bool add(Path& path, PageTokens tokens, int32_t page, int64_t realm = 0);
  // Of the pages that follow `path` and were there before this step, the one with the longest
  // beginning in common with `tokens` (one at least, not longer than a page), which counts as used
  // now. Its rows may be copied before anything is evicted.
  struct Alike {
    int32_t page = 0;
    int64_t tokens = 0;  // that it has in common; 0: there is none
  };
  Alike most_alike(const Path& path, std::span<const int32_t> tokens, int64_t realm = 0);
  // Pages added from now on are computed in a new step.
  void begin_step() { ++step_; }
  // Unlocks the whole path and empties it.
  void leave(Path& path);

  // Gives back the page that was not used for longest; false if all are locked.
  bool evict();

  int64_t pages() const { return pages_; }
  int64_t evictable() const { return static_cast<int64_t>(idle_.size()); }
  int64_t evicted() const { return evicted_; }
  static int32_t page(const Node& node);

 private:
  using Key = std::array<int32_t, CachePool::kPageTokens>;
  using Children = std::map<Key, std::unique_ptr<Node>>;  // so that the most alike are neighbours

  Children& after(const Path& path, int64_t realm);
  void lock(Node& node);

  KvCache& cache_;
  std::map<int64_t, Children> roots_;  // of each realm
  // A node is unlocked before its parent and locked after it, so every unlocked node's parent is
  // either locked or before it in idle_: the last of idle_ is always a leaf.
  std::list<Node*> idle_;  // unlocked nodes, the latest used first
  std::list<Node*> busy_;  // locked nodes, in no order
  int64_t pages_ = 0;
  int64_t evicted_ = 0;
  uint64_t step_ = 0;
};

}  // namespace fathom
