#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace lockstep::nccl {

// CUDA's; nobody but the library looks inside.
struct Event {
  void* handle = nullptr;
};

// What brings workers together.
using Id = std::array<std::byte, 128>;

// The calls of NCCL and of CUDA's runtime that the transport makes, and nothing else, so that its logic is
// tested without a GPU on a double of them. Of one worker: it has one GPU, one communicator of NCCL and one
// stream, which all copies and calls between workers go along. Used by the thread that made it.
//
// Everything that it gives out (events, memory) lives as long as the library. Each call throws CommError,
// with the bare reason, where NCCL or CUDA answer an error. None waits for another worker.
class Library {
 public:
  Library() = default;
  virtual ~Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  virtual std::string version() = 0;  // "NCCL 2.32.3, CUDA 13.0"
  virtual std::string host() = 0;
  // What names each GPU that this process sees, by its number; empty where it sees none.
  virtual std::vector<std::string> devices() = 0;
  // All that follows is for this GPU.
  virtual void use(int device) = 0;
  // Two workers of one GPU must seem to be on different hosts. Before `join`.
  virtual void pose_as_host(const std::string& name) = 0;

  virtual Id new_id() = 0;
  // Begins to join the others, without waiting for them: see `settled`. Once.
  virtual void join(const Id& id, int rank, int size) = 0;
  // Begins to leave them in order.
  virtual void leave() = 0;
  // Whether all that NCCL was told has been set up, or handed to the stream; it may be told nothing else
  // before. Throws CommError where NCCL has failed.
  virtual bool settled() = 0;
  // Ends all, whatever it is at; waits for that some seconds at most, as it may take others who hang. From
  // now on nothing is freed but what NCCL itself does.
  virtual void abort() noexcept = 0;

  // Calls between these are one: they happen together.
  virtual void begin_group() = 0;
  virtual void end_group() = 0;
  // Memory of the GPU, sizes in bytes, to be called inside a group. Both ends give the same size, not 0.
  virtual void send(const std::byte* from, std::size_t bytes, int to) = 0;
  virtual void receive(std::byte* into, std::size_t bytes, int from) = 0;
  virtual void broadcast(std::byte* data, std::size_t bytes, int root) = 0;
  // `each` bytes of every worker, in the order of ranks.
  virtual void all_gather(const std::byte* mine, std::byte* all, std::size_t each) = 0;

  virtual Event new_event() = 0;
  // `reached` is true once the stream has done what it had got by now.
  virtual void record(Event event) = 0;
  virtual bool reached(Event event) = 0;
  virtual std::byte* device_memory(std::size_t bytes) = 0;
  virtual std::byte* pinned_memory(std::size_t bytes) = 0;  // of the host, which copies may use
  virtual bool on_device(const std::byte* memory) = 0;
  virtual void copy(std::byte* into, const std::byte* from, std::size_t bytes) = 0;
};

}  // namespace lockstep::nccl
