#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace lockstep::nccl {

// What NCCL cannot tell, asked of a communicator that can: who has come to a call, whether all mean the same
// by it, and what the others are at once one has failed. Its calls keep the place, kind and name that they
// have here.
class Control {
 public:
  explicit Control(Communicator& comm) : comm_(comm) {}
  Communicator& comm() const { return comm_; }

  // Finishes once all workers have come to `call`, and throws CommError where it is not the same call, or
  // where others send this one other sizes than it receives. Bytes by rank.
  std::unique_ptr<Operation> agree(const CallSite& call, std::span<const std::size_t> sends,
                                   std::span<const std::size_t> receives);
  std::unique_ptr<Operation> barrier(const CallSite& call) { return comm_.start_barrier(call); }

  void listen() { comm_.listen(); }
  std::string consult(const CallSite& call, std::chrono::milliseconds patience) {
    return comm_.consult(call, patience);
  }
  std::string name_of(int rank) const { return comm_.name_of(rank); }

 private:
  Communicator& comm_;
};

}  // namespace lockstep::nccl
