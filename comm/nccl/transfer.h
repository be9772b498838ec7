#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/nccl/library.h"
#include "comm/nccl/staging.h"

namespace lockstep::nccl {

class Transfer;

// A lane: a clique and a stream of its own, and the transfers that NCCL has not got yet, in the order in
// which they were started. They are handed to it in that order.
struct TransferLane {
  Library& library;
  Staging& staging;
  Clique clique;
  Stream stream;
  std::deque<Transfer*> waiting{};
  std::exception_ptr failure{};  // of `progress_beside`

  void progress();
  // While another lane is polled: what fails is thrown by this lane's next `progress`.
  void progress_beside();
};

// One collective: agreed upon, then handed to NCCL as one group of calls, then run by the GPU.
//
// Memory of the host goes through staging memory; memory of the GPU is used where it is, and must be ready
// before the transfer is made. It is one of `open` until it has finished. One that failed or was dropped
// early stays open for ever: its staging memory is abandoned.
class Transfer final : public Operation {
 public:
  // lanes: all of the communicator, of which it goes along the one of this number. Whoever waits in one lane
  // hands over in all: others may have to be through with a transfer before they come to what is waited for.
  Transfer(std::span<TransferLane> lanes, std::size_t lane, int& open);
  ~Transfer() override;

  // What NCCL is asked to do. Where there are no bytes it is nothing.
  void send(int to, std::span<const std::byte> data);
  void receive(int from, std::span<std::byte> into);
  void broadcast(int root, std::span<std::byte> data, bool is_root);
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all);

  // It starts once `agreement` has finished; null: at the first poll.
  void begin(std::unique_ptr<Operation> agreement);

  bool poll() override;
  // Those who have not come to it. Nobody knows whom NCCL waits for.
  std::vector<int> missing() override;

 private:
  friend struct TransferLane;

  enum class Stage : std::uint8_t { agreeing, handing_over, running };

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

  // Makes progress; true once NCCL has it.
  bool handed_over();
  void hand_over();
  void bring_back();

  std::span<TransferLane> lanes_;
  TransferLane& lane_;
  int& open_;
  Stage stage_ = Stage::agreeing;
  std::unique_ptr<Operation> agreement_;
  std::vector<std::function<void()>> calls_;
  std::vector<Part> parts_;
  Block block_;                   // parts that are read, then those that are written
  std::size_t staged_reads_ = 0;  // bytes of the former
  std::size_t staged_ = 0;        // bytes of both
};

}  // namespace lockstep::nccl
