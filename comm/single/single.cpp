#include "comm/single/single.h"

#include <algorithm>

#include "comm/base/leave.h"

namespace lockstep {

namespace {

class SingleCommunicator final : public Communicator {
 public:
  SingleCommunicator() : Communicator(0, 1) {}
  std::string_view transport() const override { return "single"; }
  [[noreturn]] void abort(ExitCode code) override { leave_process(code); }

 protected:
  std::unique_ptr<Operation> start_broadcast(const CallSite&, std::span<std::byte>, int) override {
    return nullptr;
  }

  std::unique_ptr<Operation> start_all_gather(const CallSite&, std::span<const std::byte> mine,
                                              std::span<std::byte> all, std::vector<std::size_t>) override {
    std::ranges::copy(mine, all.begin());
    return nullptr;
  }

  std::unique_ptr<Operation> start_all_to_all(const CallSite&, std::span<const std::byte> send,
                                              std::vector<std::size_t>, std::span<std::byte> receive,
                                              std::vector<std::size_t>) override {
    std::ranges::copy(send, receive.begin());
    return nullptr;
  }

  std::unique_ptr<Operation> start_exchange(const CallSite&, std::span<const Outgoing<std::byte>>,
                                            std::span<const Incoming<std::byte>>) override {
    return nullptr;
  }

  std::unique_ptr<Operation> start_barrier(const CallSite&) override { return nullptr; }
};

}  // namespace

std::unique_ptr<Communicator> make_single() {
  return std::make_unique<SingleCommunicator>();
}

}  // namespace lockstep
