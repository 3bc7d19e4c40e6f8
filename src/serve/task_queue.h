// Threads that do what must not hold up the HTTP server's own: reading JSON, templates, tokenizing,
// SQLite. Tasks are started in the order in which they came.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace fathom::serve {

class TaskQueue {
 public:
  TaskQueue(int threads, size_t most_waiting);
  ~TaskQueue();  // stop()
  TaskQueue(const TaskQueue&) = delete;
  TaskQueue& operator=(const TaskQueue&) = delete;

  bool add(std::function<void()> task);  // false: too many wait already, or it has stopped
  void stop();                           // takes no more, does what is queued, joins the threads

 private:
  void work();

  const size_t most_waiting_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace fathom::serve
