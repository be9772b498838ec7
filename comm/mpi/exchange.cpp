#include "comm/mpi/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "comm/mpi/calls.h"

namespace lockstep {

MessageLane::MessageLane() {
  require(MPI_Comm_dup(MPI_COMM_WORLD, &comm_));
  require(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
  int size = 0;
  require(MPI_Comm_size(comm_, &size));
  waited_for_.resize(static_cast<std::size_t>(size));
}

void MessageLane::progress() {
  std::ranges::fill(waited_for_, 0);
  for (Exchange* exchange : under_way_) {
    for (auto& receive : exchange->messages_.receives) {
      char& waited_for = waited_for_[static_cast<std::size_t>(receive.from)];
      if (receive.begun || waited_for != 0) continue;
      int found = 0;
      MPI_Status status;
      require(MPI_Iprobe(receive.from, MPI_ANY_TAG, comm_, &found, &status));
      if (found == 0) {
        waited_for = 1;
        continue;
      }
      exchange->check(receive, status);
      exchange->begin(receive);
    }
  }
}

void Exchange::Messages::clear() {
  receives.clear();
  passed_on.clear();
  sent.clear();
  requests.clear();
}

Exchange::Exchange(MessageLane& lane, std::optional<int> tag, int& open)
    : lane_(lane), tag_(tag), open_(open) {
  ++open_;
  lane_.under_way_.push_back(this);
  if (lane_.spare_.empty()) return;
  messages_ = std::move(lane_.spare_.back());
  lane_.spare_.pop_back();
}

Exchange::~Exchange() {
  messages_.clear();
  lane_.spare_.push_back(std::move(messages_));
  std::erase(lane_.under_way_, this);
}

void Exchange::receive(int from, std::span<std::byte> into) {
  messages_.receives.push_back({from, into});
  if (!tag_) begin(messages_.receives.back());
}

void Exchange::send(int to, std::span<const std::byte> data) {
  messages_.sent.push_back({to, messages_.requests.size()});
  MPI_Request& request = messages_.requests.emplace_back(MPI_REQUEST_NULL);
  require(
      MPI_Isend(data.data(), as_int(data.size()), MPI_BYTE, to, tag_.value_or(0), lane_.comm(), &request));
}

void Exchange::pass_on(int to, std::span<const std::byte> data) {
  messages_.passed_on.push_back({to, data});
}

void Exchange::begin(Receive& receive) {
  receive.begun = true;
  receive.request = messages_.requests.size();
  MPI_Request& request = messages_.requests.emplace_back(MPI_REQUEST_NULL);
  require(MPI_Irecv(receive.into.data(), as_int(receive.into.size()), MPI_BYTE, receive.from, MPI_ANY_TAG,
                    lane_.comm(), &request));
}

void Exchange::check(const Receive& receive, const MPI_Status& status) const {
  if (!tag_) return;
  if (status.MPI_TAG != *tag_) {
    throw CommError(fmt::format("rank {} sent what belongs to another collective", receive.from));
  }
  int bytes = 0;
  require(MPI_Get_count(&status, MPI_BYTE, &bytes));
  if (std::cmp_not_equal(bytes, receive.into.size())) {
    throw CommError(
        fmt::format("rank {} sent {} bytes, expected were {}", receive.from, bytes, receive.into.size()));
  }
}

bool Exchange::poll() {
  lane_.progress();
  int finished = 0;
  require(MPI_Testall(as_int(messages_.requests.size()), messages_.requests.data(), &finished,
                      MPI_STATUSES_IGNORE));
  if (finished == 0 || std::ranges::any_of(messages_.receives, [](const Receive& it) { return !it.begun; }))
    return false;
  if (!messages_.passed_on.empty()) {
    for (const Send& it : std::exchange(messages_.passed_on, {})) send(it.to, it.data);
    return false;
  }
  --open_;
  return true;
}

bool Exchange::done(std::size_t request) {
  int finished = 0;
  return MPI_Request_get_status(messages_.requests[request], &finished, MPI_STATUS_IGNORE) == MPI_SUCCESS &&
         finished != 0;
}

std::vector<int> Exchange::silent() {
  std::vector<int> ranks;
  for (const Receive& it : messages_.receives) {
    if (!it.begun || !done(it.request)) ranks.push_back(it.from);
  }
  std::ranges::sort(ranks);
  return ranks;
}

std::vector<int> Exchange::missing() {
  std::vector<int> ranks = silent();
  if (!ranks.empty()) return ranks;
  for (const Sent& it : messages_.sent) {
    if (!done(it.request)) ranks.push_back(it.to);
  }
  std::ranges::sort(ranks);
  return ranks;
}

}  // namespace lockstep
