#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/nccl/control.h"
#include "comm/nccl/library.h"
#include "comm/nccl/queue.h"
#include "comm/nccl/staging.h"

namespace lockstep::nccl {

// One collective: agreed upon, then handed to NCCL as one group of calls, then run by the GPU.
//
// Memory of the host goes through staging memory; memory of the GPU is used where it is, and must be ready
// before the transfer is made. It is one of `open` until it has finished. One that failed or was dropped
// early stays open for ever: its staging memory is abandoned, and if NCCL has got it, NCCL is aborted before
// whoever dropped it gives up the memory that it is at.
class Transfer final : public Operation {
 public:
  Transfer(Library& library, Staging& staging, Queue& queue, CallSite call, int& open);
  ~Transfer() override;

  const CallSite& call() const { return call_; }

  // What NCCL is asked to do. Where there are no bytes it is nothing.
  void send(int to, std::span<const std::byte> data);
  void receive(int from, std::span<std::byte> into);
  void broadcast(int root, std::span<std::byte> data, bool is_root);
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all);

  // The same in place of all others, where all workers say that it would do.
  void all_gather_instead(std::span<const std::byte> mine, std::span<std::byte> all);

  // Queues it; its turn comes only once `agreement` has finished.
  void begin(std::unique_ptr<Agreement> agreement);

  // Whoever waits for one transfer hands over all that may be: others may have to be through with another
  // before they come to this one.
  bool poll() override;
  // Those who have not come to it. Nobody knows whom NCCL waits for.
  std::vector<int> missing() override;

 private:
  friend class Queue;

  enum class Stage : std::uint8_t { agreeing, agreed, handing_over, running, done };

  struct Part {
    std::span<const std::byte> read;
    std::span<std::byte> written;  // one of the two
    bool staged = false;
    std::size_t offset = 0;  // in the staging memory
  };

  // Each answers the number of the part, for `at`: where NCCL finds it.
  std::size_t read(std::span<const std::byte> data);
  std::size_t written(std::span<std::byte> data);
  std::byte* at(std::size_t part) const;
  std::function<void()> all_gather_of(std::span<const std::byte> mine, std::span<std::byte> all);

  // For the queue: whether all workers have come to it; then how many transfers of the other lane go before
  // it; and, once its turn has come, making progress, whether NCCL has it.
  bool agreed();
  std::uint64_t behind() const;
  bool handed_over();
  void hand_over();
  void bring_back();

  Library& library_;
  Staging& staging_;
  Queue& queue_;
  CallSite call_;
  int& open_;
  Stage stage_ = Stage::agreeing;
  std::unique_ptr<Agreement> agreement_;
  std::vector<std::function<void()>> calls_;
  std::function<void()> instead_;
  std::vector<Part> parts_;
  Block block_;                   // parts that are read, then those that are written
  std::size_t staged_reads_ = 0;  // bytes of the former
  std::size_t staged_ = 0;        // bytes of both
};

}  // namespace lockstep::nccl
