#include "comm/nccl/control.h"

#include <fmt/format.h>

#include <utility>

namespace lockstep::nccl {

Agreement::Agreement(std::vector<Notice> told) : told_(std::move(told)), heard_(told_.size()) {}

bool Agreement::poll() {
  if (exchange_ && !exchange_->poll()) return false;
  exchange_.reset();
  for (std::size_t rank = 0; rank < heard_.size(); ++rank) {
    const Notice& theirs = heard_[rank];
    const Notice& mine = told_[rank];
    if (theirs.sent != mine.expected) {
      throw CommError(
          fmt::format("rank {} sends {} bytes, expected were {}", rank, theirs.sent, mine.expected));
    }
    if (theirs.expected != mine.sent) {
      throw CommError(
          fmt::format("rank {} expects {} bytes, which are {} here", rank, theirs.expected, mine.sent));
    }
  }
  return true;
}

std::vector<int> Agreement::missing() {
  return exchange_ ? exchange_->missing() : std::vector<int>();
}

std::unique_ptr<Agreement> Control::agree(const CallSite& call, std::span<const std::size_t> sends,
                                          std::span<const std::size_t> receives, std::uint64_t started_beside,
                                          bool gathers) {
  std::vector<Notice> told;
  for (std::size_t rank = 0; rank < sends.size(); ++rank) {
    told.push_back({sends[rank], receives[rank], started_beside, gathers ? 1U : 0U});
  }
  auto agreement = std::make_unique<Agreement>(std::move(told));
  const Sizes one_each(sends.size(), sizeof(Notice));
  agreement->exchange_ = all_to_all(call, std::as_bytes(std::span(agreement->told_)), one_each,
                                    std::as_writable_bytes(std::span(agreement->heard_)), one_each);
  return agreement;
}

}  // namespace lockstep::nccl
