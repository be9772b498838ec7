#include "layers/model/thread_pool.h"

#include <fmt/format.h>

#include <atomic>
#include <exception>
#include <utility>

#include "comm/base/error.h"
#include "comm/tree/shard_layout.h"
#include "layers/ops/threads.h"

namespace lockstep {

ThreadPool::ThreadPool(int threads) {
  std::atomic<int> prepared = 0;
  try {
    failures_.resize(static_cast<std::size_t>(threads));
    others_.reserve(failures_.size());
    for (int thread = 1; thread < threads; ++thread) {
      others_.emplace_back([this, thread] { serve(thread); });
    }
    // Takes memory, which may be short now: as work, whose failure ends no thread.
    run(threads, [&](std::int64_t /*index*/, int /*thread*/) {
      prepare_compute_thread();
      ++prepared;
    });
  } catch (const std::exception& error) {  // no thread, or no memory for one
    const int started = this->threads() < threads ? this->threads() : prepared.load();
    close();
    throw UsageError(
        fmt::format("threads: {}: only {} could be started ({}); set fewer", threads, started, error.what()));
  }
}

ThreadPool::~ThreadPool() {
  close();
}

void ThreadPool::close() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  started_.notify_all();
  for (std::thread& other : others_) other.join();
}

void ThreadPool::run(std::int64_t count, const std::function<void(std::int64_t, int)>& work) {
  {
    const std::lock_guard lock(mutex_);
    count_ = count;
    work_ = &work;
    running_ = static_cast<int>(others_.size());
    ++round_;
  }
  started_.notify_all();
  take_part(0);
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [this] { return running_ == 0; });
  for (std::exception_ptr& failure : failures_) {
    if (failure) std::rethrow_exception(std::exchange(failure, nullptr));
  }
}

void ThreadPool::serve(int thread) {
  std::uint64_t seen = 0;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      started_.wait(lock, [&] { return closing_ || round_ != seen; });
      if (closing_) return;
      seen = round_;
    }
    take_part(thread);
    {
      const std::lock_guard lock(mutex_);
      --running_;
    }
    finished_.notify_one();
  }
}

void ThreadPool::take_part(int thread) {
  failures_[static_cast<std::size_t>(thread)] = nullptr;
  try {
    const Range mine = part(count_, threads(), thread);
    for (std::int64_t index = mine.begin; index < mine.end; ++index) (*work_)(index, thread);
  } catch (...) {
    failures_[static_cast<std::size_t>(thread)] = std::current_exception();
  }
}

}  // namespace lockstep
