#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace lockstep {

// The compute threads of one worker. The thread that runs the pool is its thread 0, so a pool of one starts
// none.
class ThreadPool {
 public:
  // Throws UsageError where the system does not give so many threads.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(others_.size()) + 1; }

  // Calls work(index, thread) for every index of [0, count): thread t takes the t-th contiguous part, in
  // order. Returns when all are done; throws the exception of the lowest thread that threw.
  void run(std::int64_t count, const std::function<void(std::int64_t index, int thread)>& work);

 private:
  void close();
  void serve(int thread);
  void take_part(int thread);

  std::vector<std::thread> others_;
  std::mutex mutex_;
  std::condition_variable started_, finished_;
  std::uint64_t round_ = 0;
  int running_ = 0;
  bool closing_ = false;
  std::int64_t count_ = 0;
  const std::function<void(std::int64_t, int)>* work_ = nullptr;
  std::vector<std::exception_ptr> failures_;
};

}  // namespace lockstep
