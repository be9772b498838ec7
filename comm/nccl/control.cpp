#include "comm/nccl/control.h"

#include <fmt/format.h>

#include <utility>

namespace lockstep::nccl {

namespace {

using Sizes = std::vector<std::size_t>;

class Agreement final : public Operation {
 public:
  Agreement(Sizes sends, Sizes receives)
      : told_(std::move(sends)), expected_(std::move(receives)), heard_(expected_.size()) {}

  std::span<const std::byte> told() const { return std::as_bytes(std::span(told_)); }
  std::span<std::byte> heard() { return std::as_writable_bytes(std::span(heard_)); }
  void follow(std::unique_ptr<Operation> exchange) { exchange_ = std::move(exchange); }

  bool poll() override {
    if (exchange_ && !exchange_->poll()) return false;
    exchange_.reset();
    for (std::size_t rank = 0; rank < heard_.size(); ++rank) {
      if (heard_[rank] != expected_[rank]) {
        throw CommError(
            fmt::format("rank {} sends {} bytes, expected were {}", rank, heard_[rank], expected_[rank]));
      }
    }
    return true;
  }

  std::vector<int> missing() override { return exchange_ ? exchange_->missing() : std::vector<int>(); }

 private:
  Sizes told_;
  Sizes expected_;
  Sizes heard_;
  std::unique_ptr<Operation> exchange_;
};

}  // namespace

std::unique_ptr<Operation> Control::agree(const CallSite& call, std::span<const std::size_t> sends,
                                          std::span<const std::size_t> receives) {
  auto agreement =
      std::make_unique<Agreement>(Sizes(sends.begin(), sends.end()), Sizes(receives.begin(), receives.end()));
  const Sizes one_each(sends.size(), sizeof(std::size_t));
  agreement->follow(comm_.start_all_to_all(call, agreement->told(), one_each, agreement->heard(), one_each));
  return agreement;
}

}  // namespace lockstep::nccl
