#include "comm/nccl/control.h"

#include <fmt/format.h>

namespace lockstep::nccl {

Agreement::Agreement(std::span<const std::size_t> receives)
    : expected_(receives.begin(), receives.end()), heard_(expected_.size()) {}

bool Agreement::poll() {
  if (exchange_ && !exchange_->poll()) return false;
  exchange_.reset();
  for (std::size_t rank = 0; rank < heard_.size(); ++rank) {
    if (heard_[rank].bytes != expected_[rank]) {
      throw CommError(
          fmt::format("rank {} sends {} bytes, expected were {}", rank, heard_[rank].bytes, expected_[rank]));
    }
    started_beside_.push_back(heard_[rank].started_beside);
    all_gather_ = all_gather_ && heard_[rank].gathers != 0;
  }
  return true;
}

std::vector<int> Agreement::missing() {
  return exchange_ ? exchange_->missing() : std::vector<int>();
}

std::unique_ptr<Agreement> Control::agree(const CallSite& call, std::span<const std::size_t> sends,
                                          std::span<const std::size_t> receives, std::uint64_t started_beside,
                                          bool gathers) {
  auto agreement = std::make_unique<Agreement>(receives);
  for (const std::size_t bytes : sends)
    agreement->told_.push_back({bytes, started_beside, gathers ? 1U : 0U});
  const Sizes one_each(sends.size(), sizeof(Notice));
  agreement->exchange_ = all_to_all(call, std::as_bytes(std::span(agreement->told_)), one_each,
                                    std::as_writable_bytes(std::span(agreement->heard_)), one_each);
  return agreement;
}

}  // namespace lockstep::nccl
