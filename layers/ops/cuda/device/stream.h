#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <type_traits>

namespace lockstep::cuda {

// Owns a mark in streams of the current GPU.
class Event {
 public:
  Event();
  cudaEvent_t get() const { return event_.get(); }

 private:
  struct Destroy {
    void operator()(cudaEvent_t event) const { cudaEventDestroy(event); }  // when it has been reached
  };
  std::unique_ptr<std::remove_pointer_t<cudaEvent_t>, Destroy> event_;
};

// Owns a queue of the current GPU's work: what is put into it runs in order, beside the host. It is a Runner:
// the templates of ../norm.h and its neighbours put their kernels into it. They are made for Stream in
// norm.cu and its neighbours, which alone see how (launch.cuh).
class Stream {
 public:
  // first: what is put into it goes before what other streams have, once a multiprocessor is free.
  enum class Urgency : std::uint8_t { usual, first };
  explicit Stream(Urgency urgency = Urgency::usual);

  cudaStream_t get() const { return stream_.get(); }

  // Puts the mark behind what is in this stream now.
  void record(const Event& event) const;
  // What is put into this stream from now on waits until the mark, where it was recorded last, is reached.
  void wait_for(const Event& event) const;
  // Whether all is done, and, as `wait`, throws.
  bool done() const;
  // Blocks until all is done; throws what went wrong meanwhile.
  void wait() const;

  template <class Body>
  void over(std::int64_t count, const Body& body) const;
  template <class Body>
  void over(std::int64_t columns, std::int64_t rows, const Body& body) const;
  template <class Body>
  void in_blocks(const Body& body) const;

 private:
  struct Destroy {
    void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
  };
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, Destroy> stream_;
};

}  // namespace lockstep::cuda
