#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "comm/base/element_type.h"
#include "comm/base/error.h"
#include "comm/trace/trace.h"

namespace lockstep {

// A lane is a first-in-first-out channel of its own: operations of one lane finish in the order in which
// they were started, and wait for no other lane, but that a gather may wait for scatters which another worker
// started before it (NCCL has one queue for both). Buckets are gathered on another lane than they are
// scattered on, because a gather follows its bucket's fold and so may not queue behind a later scatter.
enum class Lane : std::uint8_t { statistics, scatter, gather };
inline constexpr int lane_count = 3;

// What workers do together; the last two are a transport's own.
enum class Collective : std::uint8_t {
  none,
  broadcast,
  all_gather,
  all_to_all,
  exchange,
  barrier,
  connect,
  leave
};

// What is under way: what all workers must call alike, and where this one stands, for messages.
struct CallSite {
  Collective kind = Collective::none;
  std::string name;
  Lane lane = Lane::statistics;
  std::uint64_t sequence = 0;  // of its lane, so that all workers mean the same collective by it
  std::string phase;
  ElementType element = ElementType::nothing;
  Trace::Clock::time_point started{};  // where there is a trace
};

std::string_view name_of(Lane lane);
std::string_view name_of(Collective kind);

// "all_gather 'bn1 moments' (statistics #42, step 7 forward)"
std::string describe(const CallSite& call);

// A transport's side of one started collective. `poll` makes progress, never blocks, and answers whether
// the operation has finished; it is not called again after it did. It throws CommError with the bare reason.
class Operation {
 public:
  Operation() = default;
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  virtual bool poll() = 0;
  // The workers from which something is still to come; empty where that is not known.
  virtual std::vector<int> missing() { return {}; }
};

// How messages reach the other workers, in the words of whoever carries them.
struct Links {
  std::string within_host;
  std::string between_hosts;
  std::string carrier;  // "Open MPI v4.1.4, pml ob1"
};

class Communicator;
namespace nccl {
class Control;
}

// A collective under way. The buffers it was given belong to it until it has finished. Dropping one that has
// not finished abandons it: allowed only on the way out after an error.
class Pending {
 public:
  Pending() = default;
  // No operation: the collective finished as it was started.
  Pending(std::unique_ptr<Operation> operation, Communicator* owner, CallSite site);

  // Makes progress; true once finished. Throws CommError after the deadline.
  bool test();
  // Polls until finished, yielding the core after some hundred fruitless polls. Throws CommError after the
  // deadline, naming rank, collective, sequence number and phase.
  void wait();
  bool active() const { return operation_ != nullptr; }

 private:
  using Clock = std::chrono::steady_clock;

  void finished();
  void count_waiting();
  void hear_the_others();
  void warn();
  [[noreturn]] void give_up();

  std::unique_ptr<Operation> operation_;
  Communicator* owner_ = nullptr;
  CallSite site_;
  std::optional<Clock::time_point> last_poll_;  // that found it not finished
  Clock::duration waited_{};
  Clock::duration listened_{};  // waited_ when it last heard whether another worker is in trouble
  bool warned_ = false;
};

// What goes to another worker, or comes from it, in an exchange between some.
template <class T>
struct Outgoing {
  int to = 0;
  std::span<const T> data;
};
template <class T>
struct Incoming {
  int from = 0;
  std::span<T> into;
};

// Who talks to whom. Moves typed arrays between the workers of one job; knows no tensor, layer or config,
// never averages, never decides the order of a sum.
//
// All workers start the same collectives on each lane in the same order. Each has a name, a sequence number
// and a deadline. A communicator is used by the thread that made it. Counts are in elements, displacements
// are their prefix sums: what rank r contributes lies behind what ranks 0 … r − 1 do. No two spans of a call
// overlap. A collective may finish on one worker before another has finished it; only a barrier says that
// all have started it.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  virtual std::string_view transport() const = 0;
  // Whether gathers wait for scatters that other workers started before them.
  virtual bool has_one_queue() const { return false; }
  // What this worker's transport can tell of it; empty words where it cannot.
  virtual Links links() const { return {}; }

  // How long a worker waits for the others in one collective before it gives up on them. Only waiting counts:
  // time that it computes between two polls does not.
  void set_timeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }
  std::chrono::milliseconds timeout() const { return timeout_; }
  // Whether a transport that does not see it anyway compares what the workers call.
  virtual void set_check_order(bool check) { check_order_ = check; }
  bool checks_order() const { return check_order_; }
  // Where the run is, for messages: "step 7 forward".
  void set_phase(std::string phase);
  const std::string& phase() const { return phase_; }
  // Where collectives, waiting and phases are recorded from now on; null: nowhere. Stays with its owner.
  void set_trace(Trace* trace);
  Trace* trace() const { return trace_; }

  // Root's data to everyone's. `data` has the same size everywhere.
  template <class T>
  [[nodiscard]] Pending broadcast(Lane lane, std::string_view name, std::span<T> data, int root) {
    check_root(name, root);
    auto call = begin(Collective::broadcast, lane, name, element_type<T>());
    auto operation = start_broadcast(call, std::as_writable_bytes(data), root);
    return {std::move(operation), this, std::move(call)};
  }

  // Everyone's `mine` to everyone's `all`; counts[r] is what rank r contributes, counts[rank()] ==
  // mine.size().
  template <class T>
  [[nodiscard]] Pending all_gather(Lane lane, std::string_view name, std::span<const T> mine,
                                   std::span<T> all, std::span<const std::size_t> counts) {
    check(name, counts, all.size());
    check_own(name, counts, mine.size());
    auto call = begin(Collective::all_gather, lane, name, element_type<T>());
    auto operation =
        start_all_gather(call, std::as_bytes(mine), std::as_writable_bytes(all), in_bytes(counts, sizeof(T)));
    return {std::move(operation), this, std::move(call)};
  }

  // Piece r of `send` (send_counts[r] elements) goes to rank r; piece r of `receive` came from rank r.
  template <class T>
  [[nodiscard]] Pending all_to_all(Lane lane, std::string_view name, std::span<const T> send,
                                   std::span<const std::size_t> send_counts, std::span<T> receive,
                                   std::span<const std::size_t> receive_counts) {
    check(name, send_counts, send.size());
    check(name, receive_counts, receive.size());
    check_self(name, send_counts, receive_counts);
    auto call = begin(Collective::all_to_all, lane, name, element_type<T>());
    auto operation = start_all_to_all(call, std::as_bytes(send), in_bytes(send_counts, sizeof(T)),
                                      std::as_writable_bytes(receive), in_bytes(receive_counts, sizeof(T)));
    return {std::move(operation), this, std::move(call)};
  }

  // What `out` has for others, who take it with `in`: data of some workers to some. Each other worker at most
  // once in each, by rank, and never this one. Nothing is sent, nor waited for, where there are no elements.
  template <class T>
  [[nodiscard]] Pending exchange(Lane lane, std::string_view name, const std::vector<Outgoing<T>>& out,
                                 const std::vector<Incoming<T>>& in) {
    sends_.clear();
    receives_.clear();
    for (const auto& it : out) sends_.push_back({it.to, std::as_bytes(it.data)});
    for (const auto& it : in) receives_.push_back({it.from, std::as_writable_bytes(it.into)});
    check_others(name, sends_, receives_);
    auto call = begin(Collective::exchange, lane, name, element_type<T>());
    auto operation = start_exchange(call, sends_, receives_);
    return {std::move(operation), this, std::move(call)};
  }

  [[nodiscard]] Pending barrier(Lane lane, std::string_view name) {
    auto call = begin(Collective::barrier, lane, name, ElementType::nothing);
    auto operation = start_barrier(call);
    return {std::move(operation), this, std::move(call)};
  }

  // Ends the whole job with this code, without waiting for anyone.
  [[noreturn]] virtual void abort(ExitCode code) = 0;

 protected:
  Communicator(int rank, int size) : rank_(rank), size_(size) {}

  // Each answers what is left to do, or nothing where that was all. `call` is for messages.
  virtual std::unique_ptr<Operation> start_broadcast(const CallSite& call, std::span<std::byte> data,
                                                     int root) = 0;
  virtual std::unique_ptr<Operation> start_all_gather(const CallSite& call, std::span<const std::byte> mine,
                                                      std::span<std::byte> all,
                                                      std::vector<std::size_t> byte_counts) = 0;
  virtual std::unique_ptr<Operation> start_all_to_all(const CallSite& call, std::span<const std::byte> send,
                                                      std::vector<std::size_t> send_byte_counts,
                                                      std::span<std::byte> receive,
                                                      std::vector<std::size_t> receive_byte_counts) = 0;
  virtual std::unique_ptr<Operation> start_exchange(const CallSite& call,
                                                    std::span<const Outgoing<std::byte>> sends,
                                                    std::span<const Incoming<std::byte>> receives) = 0;
  virtual std::unique_ptr<Operation> start_barrier(const CallSite& call) = 0;

  // "rank 2", and what a transport knows of where that is.
  virtual std::string name_of(int rank) const;
  // Throws CommError where another worker has found something wrong and asks what this one is at.
  virtual void listen() {}
  // What the workers tell each other once a call of this one failed, to be put behind the reason: whose calls
  // do not fit, and who does not answer within `patience`.
  virtual std::string consult(const CallSite& /*call*/, std::chrono::milliseconds /*patience*/) { return ""; }

  // A call of this worker's. The numbers of a lane's calls may go on from those of another communicator.
  CallSite begin(Collective kind, Lane lane, std::string_view name, ElementType element);
  void number_on(Lane lane, const Communicator& other);

  // Throws CommError: "rank 1 of 4: <call>: <reason>", and what the others say. waited: by the call so far. A
  // worker that computes or writes answers only when it waits again, so they have what is left of the call's
  // time, and a second at least.
  [[noreturn]] void fail(const CallSite& call, std::string_view reason,
                         std::chrono::steady_clock::duration waited = {});

 private:
  friend class Pending;
  friend class nccl::Control;  // which asks one transport what another cannot tell

  // "rank 1, rank 2"; "another worker" for none.
  std::string names_of(std::span<const int> ranks) const;
  // These throw std::logic_error, naming the collective, where its arguments do not fit each other.
  void check(std::string_view name, std::span<const std::size_t> counts, std::size_t total) const;
  void check_own(std::string_view name, std::span<const std::size_t> counts, std::size_t mine) const;
  void check_self(std::string_view name, std::span<const std::size_t> send_counts,
                  std::span<const std::size_t> receive_counts) const;
  void check_others(std::string_view name, std::span<const Outgoing<std::byte>> sends,
                    std::span<const Incoming<std::byte>> receives) const;
  void check_root(std::string_view name, int root) const;
  static std::vector<std::size_t> in_bytes(std::span<const std::size_t> counts, std::size_t element);

  int rank_;
  int size_;
  std::chrono::milliseconds timeout_{60'000};
  bool check_order_ = true;
  std::string phase_ = "start";
  Trace* trace_ = nullptr;
  std::array<std::uint64_t, lane_count> sequence_{};
  // Of the exchange that is being started; kept for their memory.
  std::vector<Outgoing<std::byte>> sends_;
  std::vector<Incoming<std::byte>> receives_;
};

}  // namespace lockstep
