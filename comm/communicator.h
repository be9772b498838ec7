#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/base/error.h"

namespace lockstep {

// A lane is a first-in-first-out channel of its own: operations of one lane finish in the order in which
// they were started, and never wait for another lane. Buckets are gathered on another lane than they are
// scattered on, because a gather follows its bucket's fold and so may not queue behind a later scatter.
enum class Lane : std::uint8_t { statistics, scatter, gather };
inline constexpr int lane_count = 3;

// What is under way, for messages: "all_gather 'bn1 moments' (#42, step 7 forward)".
struct CallSite {
  std::string_view kind;
  std::string name;
  std::uint64_t sequence = 0;
  std::string phase;
};

// A transport's side of one started collective. `poll` makes progress, never blocks, and answers whether
// the operation has finished; it is not called again after it did.
class Operation {
 public:
  virtual ~Operation() = default;
  virtual bool poll() = 0;
};

class Communicator;

// A collective under way. The buffers it was given belong to it until it has finished. Dropping one that has
// not finished abandons it: allowed only on the way out after an error.
class Pending {
 public:
  Pending() = default;
  Pending(std::unique_ptr<Operation> operation, const Communicator* owner, CallSite site);
  Pending(Pending&&) noexcept = default;
  Pending& operator=(Pending&&) noexcept = default;

  // Makes progress; true once finished. Throws CommError after the deadline.
  bool test();
  // Polls until finished, yielding the core after some hundred fruitless polls. Throws CommError after the
  // deadline, naming rank, collective, sequence number and phase.
  void wait();
  bool active() const { return operation_ != nullptr; }

 private:
  void check_deadline() const;

  std::unique_ptr<Operation> operation_;
  const Communicator* owner_ = nullptr;
  CallSite site_;
  std::chrono::steady_clock::time_point deadline_;
};

// Who talks to whom. Moves typed arrays between the workers of one job; knows no tensor, layer or config,
// never averages, never decides the order of a sum.
//
// All workers start the same collectives on each lane in the same order. Each has a name, a sequence number
// and a deadline. A communicator is used by the thread that made it. Counts are in elements, displacements
// are their prefix sums: what rank r contributes lies behind what ranks 0 … r − 1 do.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  virtual std::string_view transport() const = 0;

  // How long a collective may take before its worker gives up on the others.
  void set_timeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }
  std::chrono::milliseconds timeout() const { return timeout_; }
  // Where the run is, for messages: "step 7 forward".
  void set_phase(std::string phase) { phase_ = std::move(phase); }
  const std::string& phase() const { return phase_; }

  // Root's data to everyone's. `data` has the same size everywhere.
  template <class T>
  [[nodiscard]] Pending broadcast(Lane lane, std::string_view name, std::span<T> data, int root) {
    auto bytes = std::as_writable_bytes(data);
    return pend("broadcast", name, start_broadcast(lane, bytes, root));
  }

  // Everyone's `mine` to everyone's `all`; counts[r] is what rank r contributes, counts[rank()] ==
  // mine.size().
  template <class T>
  [[nodiscard]] Pending all_gather(Lane lane, std::string_view name, std::span<const T> mine,
                                   std::span<T> all, std::span<const std::size_t> counts) {
    check(mine.size(), counts[static_cast<std::size_t>(rank_)], all.size(), counts, name);
    return pend("all_gather", name,
                start_all_gather(lane, std::as_bytes(mine), std::as_writable_bytes(all),
                                 in_bytes(counts, sizeof(T))));
  }

  // Piece r of `send` (send_counts[r] elements) goes to rank r; piece r of `receive` came from rank r.
  template <class T>
  [[nodiscard]] Pending all_to_all(Lane lane, std::string_view name, std::span<const T> send,
                                   std::span<const std::size_t> send_counts, std::span<T> receive,
                                   std::span<const std::size_t> receive_counts) {
    check(0, 0, send.size(), send_counts, name);
    check(0, 0, receive.size(), receive_counts, name);
    return pend("all_to_all", name,
                start_all_to_all(lane, std::as_bytes(send), in_bytes(send_counts, sizeof(T)),
                                 std::as_writable_bytes(receive), in_bytes(receive_counts, sizeof(T))));
  }

  [[nodiscard]] Pending barrier(Lane lane, std::string_view name) {
    return pend("barrier", name, start_barrier(lane));
  }

  // Ends the whole job with this code, without waiting for anyone.
  [[noreturn]] virtual void abort(ExitCode code) = 0;

 protected:
  Communicator(int rank, int size) : rank_(rank), size_(size) {}

  virtual std::unique_ptr<Operation> start_broadcast(Lane lane, std::span<std::byte> data, int root) = 0;
  virtual std::unique_ptr<Operation> start_all_gather(Lane lane, std::span<const std::byte> mine,
                                                      std::span<std::byte> all,
                                                      std::vector<std::size_t> byte_counts) = 0;
  virtual std::unique_ptr<Operation> start_all_to_all(Lane lane, std::span<const std::byte> send,
                                                      std::vector<std::size_t> send_byte_counts,
                                                      std::span<std::byte> receive,
                                                      std::vector<std::size_t> receive_byte_counts) = 0;
  virtual std::unique_ptr<Operation> start_barrier(Lane lane) = 0;

 private:
  Pending pend(std::string_view kind, std::string_view name, std::unique_ptr<Operation> operation);
  // Throws std::logic_error, naming the collective, where counts and spans do not fit each other.
  void check(std::size_t mine, std::size_t my_count, std::size_t total, std::span<const std::size_t> counts,
             std::string_view name) const;
  static std::vector<std::size_t> in_bytes(std::span<const std::size_t> counts, std::size_t element);

  int rank_;
  int size_;
  std::chrono::milliseconds timeout_{60'000};
  std::string phase_ = "start";
  std::uint64_t sequence_ = 0;
};

}  // namespace lockstep
