#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace fathom {
namespace {

constexpr int64_t kPage = CachePool::kPageTokens;
constexpr int64_t kNoBound = 1 << 20;

// A scheduler with its cache, and a model that computes nothing but writes into each place of each
// page which token it holds. Every plan is checked: what a sequence reads must be its own tokens.
class Simulation {
 public:
  explicit Simulation(int64_t pages, SchedulerOptions options = {})
      : cache_(*KvCache::make({.layers = 1, .key_width = 1, .value_width = 1}, pages * kPage)),
        scheduler_(options, cache_),
        options_(options) {}

  SequenceId add(std::vector<int32_t> prompt, Priority priority = Priority::kNormal) {
    const SequenceId id = scheduler_.add({.prompt = prompt, .priority = priority});
    known_[id] = std::move(prompt);
    return id;
  }

  // Before each step, guesses up to this many tokens for every sequence that decodes.
  void guess(int64_t most, uint32_t seed) {
    most_guesses_ = most;
    random_.seed(seed);
  }

  // One step. Each sequence that draws goes on with its own next token.
  std::vector<ScheduledSequence> step(int64_t prompt_rows = kNoBound) {
    guess_some();
    std::vector<ScheduledSequence> plan = scheduler_.plan({.prompt_rows = prompt_rows});
    int64_t rows = 0;
    for (const auto& s : plan) {
      rows += std::ssize(s.tokens);
      for (int64_t i = 0; i < std::ssize(s.tokens); ++i) {
        row(s, s.position + i) = static_cast<uint16_t>(s.tokens[static_cast<size_t>(i)]);
      }
    }
    EXPECT_LE(rows, options_.max_batch_tokens);
    EXPECT_LE(scheduler_.running(), options_.max_running);
    for (const auto& s : plan) {
      const auto& known = known_.at(s.id);
      for (int64_t i = 0; i < s.position + std::ssize(s.tokens) - s.guesses; ++i) {
        EXPECT_EQ(row(s, i), static_cast<uint16_t>(known[static_cast<size_t>(i)]))
            << s.id << " at " << i;
      }
      EXPECT_EQ(s.last, s.position + std::ssize(s.tokens) - s.guesses == std::ssize(known));
      computed_ += std::ssize(s.tokens);
    }
    for (const auto& s : plan) {
      if (!s.last) continue;
      auto& known = known_.at(s.id);
      std::vector<int32_t> said;
      const auto guesses = s.tokens.last(static_cast<size_t>(s.guesses));
      do {
        said.push_back(next_of(s.id, std::ssize(known)));
        known.push_back(said.back());
      } while (said.size() <= guesses.size() && guesses[said.size() - 1] == said.back() &&
               std::ssize(known) < scheduler_.capacity());
      right_ += std::ssize(said) - 1;
      scheduler_.append(s.id, said);
    }
    return plan;
  }
  int64_t guessed_right() const { return right_; }

  void finish(SequenceId id) {
    scheduler_.finish(id);
    known_.erase(id);
  }
  int64_t length(SequenceId id) const { return std::ssize(known_.at(id)); }
  int64_t computed() const { return computed_; }
  Scheduler& scheduler() { return scheduler_; }
  KvCache& cache() { return cache_; }

 private:
  static int32_t next_of(SequenceId id, int64_t length) {
    return static_cast<int32_t>((id * 31 + static_cast<uint64_t>(length) * 7) % 50);
  }

  // The first of them are right.
  void guess_some() {
    if (most_guesses_ == 0) return;
    std::vector<Scheduler::Decoding> decoding;
    scheduler_.list_decoding(decoding);
    for (const auto& [id, known] : decoding) {
      const auto room = scheduler_.capacity() - std::ssize(known) - 1;
      const auto count = std::min<int64_t>(random_() % (most_guesses_ + 1), room);
      std::vector<int32_t> guesses;
      for (int64_t i = 0; i < count; ++i) guesses.push_back(next_of(id, std::ssize(known) + i));
      for (auto i = static_cast<int64_t>(random_() % (most_guesses_ + 1)); i < count; ++i) {
        guesses[static_cast<size_t>(i)] = 999;
      }
      if (!guesses.empty()) scheduler_.guess(id, guesses);
    }
  }

  // The key of a token: 16 bits, as the layout below has it.
  uint16_t& row(const ScheduledSequence& s, int64_t position) {
    const CacheView view = cache_.pool().layer(0);
    std::byte* page = view.base + s.pages[static_cast<size_t>(position / kPage)] * view.page_bytes;
    return reinterpret_cast<uint16_t*>(page)[position % kPage];
  }

  KvCache cache_;
  Scheduler scheduler_;
  SchedulerOptions options_;
  std::map<SequenceId, std::vector<int32_t>> known_;
  int64_t computed_ = 0;
  int64_t most_guesses_ = 0;
  int64_t right_ = 0;
  std::mt19937 random_;
};

std::vector<int32_t> tokens(int64_t count, int32_t salt = 0) {
  std::vector<int32_t> list;
  for (int64_t i = 0; i < count; ++i) list.push_back(static_cast<int32_t>(salt * 1000 + i));
  return list;
}

std::vector<SequenceId> ids(const std::vector<ScheduledSequence>& plan) {
  std::vector<SequenceId> list;
  for (const auto& s : plan) list.push_back(s.id);
  return list;
}

using Ids = std::vector<SequenceId>;

TEST(Scheduler, ComputesAPromptAtOnceAndThenATokenAtATime) {
  Simulation sim(10);
  const auto a = sim.add(tokens(40));
  auto plan = sim.step();
  ASSERT_EQ(plan.size(), 1U);
  EXPECT_TRUE(plan[0].first);
  EXPECT_EQ(plan[0].tokens.size(), 40U);
  plan = sim.step();
  ASSERT_EQ(ids(plan), Ids{a});
  EXPECT_EQ(plan[0].position, 40);
  EXPECT_EQ(plan[0].tokens.size(), 1U);
  EXPECT_FALSE(plan[0].first);
}

TEST(Scheduler, LetsPromptsComeInBesideSequencesThatDecodeButNoFaster) {
  Simulation sim(100);
  const auto a = sim.add(tokens(10, 1));
  const auto b = sim.add(tokens(10, 2));
  sim.step();
  const auto c = sim.add(tokens(100, 3));
  for (const int64_t expected : {30, 30, 30, 10}) {
    const auto plan = sim.step(30);
    ASSERT_EQ(ids(plan), (Ids{a, b, c}));
    EXPECT_EQ(std::ssize(plan[2].tokens), expected);
    EXPECT_EQ(sim.scheduler().planned_prompt_rows(), expected);
  }
  EXPECT_EQ(sim.step(30)[2].tokens.size(), 1U);
}

TEST(Scheduler, LetsShortPromptsPassALongOne) {
  Simulation sim(200, {.max_running = 8, .max_batch_tokens = 64});
  const auto decoding = sim.add(tokens(10, 1));
  sim.step();
  const auto longer = sim.add(tokens(2000, 2));
  const auto shorter = sim.add(tokens(20, 3));
  auto plan = sim.step(30);
  ASSERT_EQ(ids(plan), (Ids{decoding, longer, shorter}));
  EXPECT_EQ(plan[1].tokens.size(), 15U);
  EXPECT_EQ(plan[2].tokens.size(), 15U);
  plan = sim.step(30);
  ASSERT_EQ(ids(plan), (Ids{decoding, shorter, longer}));
  EXPECT_EQ(plan[1].tokens.size(), 5U);
  EXPECT_TRUE(plan[1].last);
  EXPECT_EQ(plan[2].tokens.size(), 25U);
  EXPECT_EQ(ids(sim.step(30)), (Ids{decoding, shorter, longer}));
}

TEST(Scheduler, WaitsForAnOlderSequenceThatComputesTheSamePages) {
  Simulation sim(200, {.max_running = 8, .max_batch_tokens = 64});
  sim.add(tokens(300));
  auto prompt = tokens(300);
  prompt.back() = 7;
  const auto second = sim.add(prompt);
  for (int step = 0; step < 5; ++step) EXPECT_EQ(sim.step().size(), 1U);
  const auto plan = sim.step();
  ASSERT_EQ(plan.size(), 2U);
  EXPECT_EQ(plan[1].id, second);
  EXPECT_EQ(plan[1].position, 288);
  EXPECT_EQ(sim.computed(), 301 + 12);
}

TEST(Scheduler, GivesPromptsAllRowsWhenNobodyDecodes) {
  Simulation sim(100, {.max_running = 8, .max_batch_tokens = 64});
  sim.add(tokens(100));
  EXPECT_EQ(sim.step(0)[0].tokens.size(), 64U);
}

TEST(Scheduler, ServesAClassInTheOrderOfArrival) {
  Simulation sim(100, {.max_running = 2});
  const auto a = sim.add(tokens(10, 1));
  const auto b = sim.add(tokens(10, 2));
  const auto c = sim.add(tokens(10, 3));
  EXPECT_EQ(ids(sim.step()), (Ids{a, b}));
  EXPECT_EQ(sim.scheduler().waiting(), 1);
  sim.finish(a);
  EXPECT_EQ(ids(sim.step()), (Ids{b, c}));
}

TEST(Scheduler, ServesHigherClassesFirstButStarvesNobody) {
  Simulation sim(100, {.max_running = 1});
  const auto low = sim.add(tokens(5), Priority::kLow);
  Ids order;
  for (int i = 0; i < 20; ++i) {
    sim.add(tokens(5, 1), Priority::kHigh);
    order.push_back(sim.step().at(0).id);
    sim.finish(order.back());
  }
  const auto at = std::find(order.begin(), order.end(), low) - order.begin();
  EXPECT_EQ(at, 7);
}

TEST(Scheduler, PreemptsTheYoungestAndLetsItContinueFirst) {
  Simulation sim(4);
  const auto a = sim.add(tokens(31, 1));
  const auto b = sim.add(tokens(31, 2));
  sim.step();
  for (int i = 0; i < 33; ++i) sim.step();
  EXPECT_EQ(sim.scheduler().running(), 2);
  const auto c = sim.add(tokens(5, 3));
  // The next page is a's third; b gives up its two.
  while (sim.scheduler().preemptions() == 0) sim.step();
  EXPECT_EQ(sim.scheduler().preemptions(b), 1);
  EXPECT_EQ(sim.scheduler().waiting(), 2);
  const int64_t known = sim.length(b);
  sim.finish(a);
  const auto plan = sim.step();
  ASSERT_FALSE(plan.empty());
  EXPECT_EQ(plan[0].id, b);
  EXPECT_TRUE(plan[0].last);
  EXPECT_EQ(plan[0].position + std::ssize(plan[0].tokens), known);
  EXPECT_FALSE(plan[0].first);
  sim.finish(b);
  EXPECT_EQ(ids(sim.step()), Ids{c});
}

TEST(Scheduler, SharesAPageInTheVeryStepThatFillsIt) {
  Simulation sim(100);
  auto prompt = tokens(70);
  sim.add(prompt);
  prompt.back() = 7;
  const auto b = sim.add(prompt);
  const auto plan = sim.step();
  ASSERT_EQ(plan.size(), 2U);
  EXPECT_EQ(plan[1].position, 64);
  EXPECT_EQ(plan[0].pages[1], plan[1].pages[1]);
  EXPECT_NE(plan[0].pages[2], plan[1].pages[2]);
  EXPECT_EQ(sim.scheduler().cached_tokens(b), 64);
}

TEST(Scheduler, ComputesTheLastTokenOfAPromptThatIsAllInTheCache) {
  Simulation sim(100);
  const auto a = sim.add(tokens(64));
  sim.step();
  sim.finish(a);
  sim.add(tokens(64));
  const auto plan = sim.step();
  EXPECT_EQ(plan[0].position, 63);
}

TEST(Scheduler, CopiesTheBeginningOfAPageThatGoesOnOtherwise) {
  Simulation sim(100);
  const auto a = sim.add(tokens(70));
  sim.step();
  auto prompt = tokens(70);
  prompt[50] = 7;
  const auto b = sim.add(prompt);
  auto plan = sim.step();
  ASSERT_EQ(ids(plan), (Ids{a, b}));
  EXPECT_EQ(plan[1].position, 50);
  EXPECT_EQ(plan[0].pages[0], plan[1].pages[0]);
  EXPECT_NE(plan[0].pages[1], plan[1].pages[1]);
  EXPECT_EQ(sim.scheduler().cached_tokens(b), 50);
  // Of the two that are there now, the one with more in common.
  prompt[60] = 7;
  const auto c = sim.add(prompt);
  plan = sim.step();
  EXPECT_EQ(plan[2].position, 60);
  EXPECT_EQ(sim.scheduler().cached_tokens(c), 60);
}

TEST(Scheduler, CopiesNothingThatIsNotComputedYet) {
  Simulation sim(100);
  sim.add(tokens(70));
  auto prompt = tokens(70);
  prompt[50] = 7;
  const auto b = sim.add(prompt);
  const auto plan = sim.step();
  ASSERT_EQ(plan.size(), 2U);
  EXPECT_EQ(plan[1].position, 32);  // the whole page is shared, and the next computed by both
  EXPECT_EQ(sim.scheduler().cached_tokens(b), 32);
}

TEST(Scheduler, CopiesWhenTheCacheIsFullOfWhatNobodyUses) {
  Simulation sim(4);
  for (const int32_t salt : {1, 2}) {
    const auto old = sim.add(tokens(64, salt));
    sim.step();
    sim.finish(old);
  }
  EXPECT_EQ(sim.cache().free_pages(), 0);
  auto prompt = tokens(40, 2);
  prompt[20] = 7;
  sim.add(prompt);
  EXPECT_EQ(sim.step()[0].position, 20);
}

TEST(Scheduler, KeepsEndedSequencesWhileThereIsRoomAndEvictsTheOldest) {
  Simulation sim(6);
  for (int i = 0; i < 5; ++i) {
    sim.finish([&] {
      const auto id = sim.add(tokens(40, i));
      sim.step();
      return id;
    }());
  }
  EXPECT_EQ(sim.scheduler().pages_used(), 0);
  EXPECT_EQ(sim.scheduler().prefixes().pages(), 5);
  // Four pages: one is free, the first three of the old have to go.
  const auto big = sim.add(tokens(100, 9));
  EXPECT_EQ(sim.step()[0].position, 0);
  EXPECT_EQ(sim.scheduler().prefixes().evicted(), 3);
  sim.finish(big);
  const auto old = sim.add(tokens(40, 0));
  EXPECT_EQ(sim.step()[0].position, 0);
  sim.finish(old);
  sim.add(tokens(40, 4));
  EXPECT_EQ(sim.step()[0].position, 32);
}

TEST(Scheduler, ForgetsEverythingWithoutAPrefixCache) {
  Simulation sim(6, {.prefix_cache = false});
  const auto a = sim.add(tokens(64));
  sim.step();
  sim.finish(a);
  EXPECT_EQ(sim.cache().free_pages(), 6);
}

TEST(Scheduler, DoesNotAdmitWhatWouldSoonBePreempted) {
  Simulation sim(4);
  sim.add(tokens(60, 1));
  sim.step();
  sim.add(tokens(60, 2));
  EXPECT_EQ(sim.step().size(), 1U);
  EXPECT_EQ(sim.scheduler().waiting(), 1);
}

TEST(Scheduler, GoesOnBehindTheGuessesThatWereRight) {
  Simulation sim(20);
  const SequenceId id = sim.add(tokens(40));
  sim.step();
  const int64_t next = sim.length(id);
  const std::vector<int32_t> guesses = {static_cast<int32_t>((id * 31 + 41 * 7) % 50), 999};
  ASSERT_EQ(next, 41);
  sim.scheduler().guess(id, guesses);
  const auto plan = sim.step();
  ASSERT_EQ(plan.size(), 1U);
  EXPECT_EQ(plan[0].guesses, 2);
  EXPECT_EQ(plan[0].tokens.size(), 3U);
  EXPECT_TRUE(plan[0].last);
  EXPECT_EQ(sim.length(id), 43) << "one guess was right, and one token came with it";
  const auto after = sim.step();
  EXPECT_EQ(after[0].position, 42);
  EXPECT_EQ(after[0].tokens.size(), 1U);
}

TEST(Scheduler, LeavesGuessesOutForWhichThereAreNoRowsOrIsNoMemory) {
  Simulation narrow(20, {.max_running = 4, .max_batch_tokens = 5});
  std::vector<SequenceId> three;
  for (int32_t i = 0; i < 3; ++i) three.push_back(narrow.add(tokens(1, i)));
  narrow.step();
  for (const SequenceId id : three) narrow.scheduler().guess(id, tokens(4));
  const auto plan = narrow.step();
  ASSERT_EQ(plan.size(), 3U) << "nobody goes without a row for another's guesses";
  EXPECT_EQ(plan[0].guesses, 2);
  EXPECT_EQ(plan[1].guesses, 0);

  Simulation full(4);
  const SequenceId first = full.add(tokens(40));
  const SequenceId second = full.add(tokens(20, 1));
  // Until both have filled two pages, or nearly.
  while (full.length(first) < 64) full.step();
  full.scheduler().guess(first, tokens(4));
  const auto both = full.step();
  ASSERT_EQ(both.size(), 2U) << "nobody is preempted for a guess";
  EXPECT_EQ(both[0].guesses, 0);
  EXPECT_EQ(both[1].id, second);
}

TEST(Scheduler, ReadsOnlyItsOwnTokensUnderRandomLoadAndFreesAllInTheEnd) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return static_cast<int64_t>(random() % n); };
    const int64_t pages = 8 + below(40);
    SchedulerOptions options{.max_running = 1 + below(12), .max_batch_tokens = 12 + below(100)};
    Simulation sim(pages, options);
    if (seed % 2 == 1) sim.guess(1 + below(6), seed);
    std::map<SequenceId, int64_t> open;  // and the length at which each ends
    int64_t added = 0;
    std::map<SequenceId, int64_t> last_ran;
    for (int64_t step = 0; step < 600; ++step) {
      while (added < 60 && below(3) == 0) {
        // Beginnings are often shared.
        auto prompt = tokens(1 + below(100), static_cast<int32_t>(below(3)));
        if (below(2) == 0) prompt.back() = static_cast<int32_t>(below(1000));
        if (below(2) == 0) prompt[prompt.size() / 2] = static_cast<int32_t>(below(3));
        const auto limit = std::min(std::ssize(prompt) + 1 + below(80), sim.scheduler().capacity());
        open[sim.add(prompt, static_cast<Priority>(below(3)))] = limit;
        ++added;
      }
      if (!open.empty() && below(20) == 0) {  // a cancellation
        const auto victim = std::next(open.begin(), below(static_cast<uint32_t>(open.size())));
        sim.finish(victim->first);
        open.erase(victim);
      }
      sim.step(below(40));
      for (auto it = open.begin(); it != open.end();) {
        if (sim.length(it->first) >= it->second) {
          sim.finish(it->first);
          it = open.erase(it);
        } else {
          ++it;
        }
      }
    }
    for (int64_t step = 0; !open.empty(); ++step) {
      ASSERT_LT(step, 20000) << "no progress with seed " << seed;
      sim.step(below(40) + 1);
      std::erase_if(open, [&](const auto& entry) {
        if (sim.length(entry.first) < entry.second) return false;
        sim.finish(entry.first);
        return true;
      });
    }
    EXPECT_TRUE(sim.scheduler().plan().empty());
    EXPECT_EQ(sim.scheduler().pages_used(), 0);
    EXPECT_EQ(sim.cache().free_pages() + sim.scheduler().prefixes().pages(), pages);
  }
}

}  // namespace
}  // namespace fathom
