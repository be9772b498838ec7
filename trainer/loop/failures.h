#pragma once

#include <exception>

#include "comm/base/error.h"
#include "comm/communicator.h"

namespace lockstep {

// What went wrong on this worker. It is kept until a place that all workers come to, where it is thrown on
// all of them alike.
class Failures {
 public:
  explicit Failures(Communicator& comm) : comm_(comm) {}

  // Does what may fail on this worker alone; nothing once something has failed.
  template <class Work>
  void attempt(const Work& work) {
    try {
      if (!failure_) work();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  // Does what diverges on all workers alike, unless the memory of one failed. Nothing may be made of the
  // result before require_finite. Answers whether it was finite here.
  template <class Work>
  bool attempt_finite(const Work& work) {
    try {
      work();
    } catch (const DivergedError&) {
      divergence_ = std::current_exception();
    }
    return divergence_ == nullptr;
  }
  // What diverged was undone.
  void forget_divergence() { divergence_ = nullptr; }

  bool any() const { return failure_ || divergence_; }

  // Collective, both: throw what any worker has kept.
  void require_none() const;
  void require_finite() const;

 private:
  Communicator& comm_;
  std::exception_ptr divergence_;
  std::exception_ptr failure_;
};

}  // namespace lockstep
