#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"

namespace lockstep {

// What one worker brings to a collective: a copy of its data, and what it expects from the others. Every kind
// of collective is this: each worker receives the pieces meant for it, one behind the other.
struct Contribution {
  CallSite call;
  std::vector<std::byte> payload;
  std::vector<std::size_t> sends;     // bytes of `payload` for each rank; empty: everyone gets all of it
  std::vector<std::size_t> receives;  // bytes expected from each rank

  std::span<const std::byte> piece_for(int rank) const;
};

// One collective in the making, complete once every worker has brought its contribution. Contributions are
// not written any more after that, so they are read without a lock.
class Meeting {
 public:
  explicit Meeting(int size) : contributions_(static_cast<std::size_t>(size)) {}
  bool complete() const {
    return static_cast<std::size_t>(arrived_.load(std::memory_order_acquire)) == contributions_.size();
  }
  const Contribution& of(int rank) const { return *contributions_[static_cast<std::size_t>(rank)]; }

 private:
  friend class Hub;
  std::vector<std::optional<Contribution>> contributions_;
  std::atomic<int> arrived_{0};
};

// Where the threads of one job meet. It owns every payload under way: no worker reads another's buffers.
class Hub {
 public:
  explicit Hub(int size);

  // Brings `rank`'s contribution to the collective at its position (lane and sequence). Throws CommError,
  // naming both calls, where another worker started something that does not fit.
  std::shared_ptr<const Meeting> join(int rank, Contribution contribution);

  // `rank` will start nothing any more; `why` completes the sentence "rank 2 …".
  void leave(int rank, std::string why);

  // Returns once all have left. Where one has not after `grace` it hangs, and a thread that hangs cannot be
  // ended: the whole process then ends with ExitCode::peer, after `message` on standard error.
  void await_all(std::chrono::milliseconds grace, std::string_view message);

  // Throws CommError where `meeting` can never be complete because a worker that it needs has left.
  void check(int rank, const Meeting& meeting);

  // Who has not come to it.
  std::vector<int> missing(const Meeting& meeting);

  // Whether `check` threw for `rank`: its failure follows from another's.
  bool was_told(int rank) const { return told_[static_cast<std::size_t>(rank)] != 0; }

 private:
  std::mutex mutex_;
  std::condition_variable someone_left_;
  std::array<std::map<std::uint64_t, std::shared_ptr<Meeting>>, lane_count> meetings_;  // incomplete ones
  std::vector<std::optional<std::string>> left_;
  std::atomic<bool> anyone_left_{false};
  std::vector<char> told_;  // each rank's entry belongs to its thread
};

}  // namespace lockstep
