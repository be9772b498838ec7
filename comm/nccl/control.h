#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"

namespace lockstep::nccl {

// What a worker tells each other one when it starts a transfer: how many bytes it sends there and expects
// from there, how many transfers of the other lane it had started before, and whether an all-gather would do
// the same here.
struct Notice {
  std::uint64_t sent = 0;
  std::uint64_t expected = 0;
  std::uint64_t started_beside = 0;
  std::uint64_t gathers = 0;
};

// Finishes once all workers have come to a transfer. Throws CommError where others mean another call by it,
// or send or expect other sizes than it does.
class Agreement final : public Operation {
 public:
  explicit Agreement(std::vector<Notice> told);
  bool poll() override;
  std::vector<int> missing() override;
  // From each rank, once it has finished.
  std::span<const Notice> heard() const { return heard_; }

 private:
  friend class Control;

  std::vector<Notice> told_;
  std::vector<Notice> heard_;
  std::unique_ptr<Operation> exchange_;
};

// What NCCL cannot do, asked of a communicator that can: to tell who has come to a call, whether all mean the
// same by it, and what the others are at once one has failed; and to move what is the host's. Its calls keep
// the place, kind and name that they have here.
class Control {
 public:
  explicit Control(Communicator& comm) : comm_(comm) {}
  Communicator& comm() const { return comm_; }

  // Bytes by rank.
  std::unique_ptr<Agreement> agree(const CallSite& call, std::span<const std::size_t> sends,
                                   std::span<const std::size_t> receives, std::uint64_t started_beside,
                                   bool gathers);

  // The communicator's own.
  using Started = std::unique_ptr<Operation>;
  using Sizes = std::vector<std::size_t>;
  Started broadcast(const CallSite& call, std::span<std::byte> data, int root) {
    return comm_.start_broadcast(call, data, root);
  }
  Started all_gather(const CallSite& call, std::span<const std::byte> mine, std::span<std::byte> all,
                     Sizes byte_counts) {
    return comm_.start_all_gather(call, mine, all, std::move(byte_counts));
  }
  Started all_to_all(const CallSite& call, std::span<const std::byte> send, Sizes send_byte_counts,
                     std::span<std::byte> receive, Sizes receive_byte_counts) {
    return comm_.start_all_to_all(call, send, std::move(send_byte_counts), receive,
                                  std::move(receive_byte_counts));
  }
  Started exchange(const CallSite& call, std::span<const Outgoing<std::byte>> sends,
                   std::span<const Incoming<std::byte>> receives) {
    return comm_.start_exchange(call, sends, receives);
  }
  Started barrier(const CallSite& call) { return comm_.start_barrier(call); }

  void listen() { comm_.listen(); }
  std::string consult(const CallSite& call, std::chrono::milliseconds patience) {
    return comm_.consult(call, patience);
  }
  std::string name_of(int rank) const { return comm_.name_of(rank); }

 private:
  Communicator& comm_;
};

}  // namespace lockstep::nccl
