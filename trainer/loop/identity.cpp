#include "trainer/loop/identity.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "comm/base/hash.h"
#include "trainer/loop/agree.h"

namespace lockstep {
namespace {

using Digests = std::vector<std::uint64_t>;

constexpr std::string_view odd_one =
    "Faulty memory on the odd one's host may be the cause: test it, or leave that host out.";
constexpr std::string_view nobody_odd =
    "Faulty memory on one of the hosts may be the cause; which of them is wrong cannot be told from this.";

Digests gather(Communicator& comm, std::uint64_t mine) {
  Digests all(static_cast<std::size_t>(comm.size()));
  const std::vector<std::size_t> one_each(all.size(), 1);
  comm.all_gather(Lane::statistics, "state digest", std::span<const std::uint64_t>(&mine, 1), std::span(all),
                  one_each)
      .wait();
  return all;
}

bool all_equal(const Digests& digests) {
  return std::all_of(digests.begin(), digests.end(), [&](std::uint64_t it) { return it == digests[0]; });
}

// What more than half of the workers hold.
std::optional<std::uint64_t> majority(Digests digests) {
  std::sort(digests.begin(), digests.end());
  const std::uint64_t middle = digests[digests.size() / 2];
  const auto holders = static_cast<std::size_t>(std::count(digests.begin(), digests.end(), middle));
  return 2 * holders > digests.size() ? std::optional(middle) : std::nullopt;
}

// `digests` of what `subject` names, by rank.
[[noreturn]] void fail(Communicator& comm, std::int64_t step, std::string_view subject,
                       const Digests& digests) {
  const auto hosts = gather_texts(comm, "hosts", host_name());
  const auto right = majority(digests);
  std::string lines;
  for (std::size_t rank = 0; rank < digests.size(); ++rank) {
    const bool odd = right && digests[rank] != *right;
    lines += fmt::format("\n  rank {} on {}: {:016x}{}", rank, hosts[rank], digests[rank],
                         odd ? " (odd one out)" : "");
  }
  throw Error(ExitCode::peer,
              fmt::format("step {}: the workers no longer hold the same state: {}{}\nNothing was saved from "
                          "it; a checkpoint that is there is whole: go on with --resume.\n{}",
                          step, subject, lines, right ? odd_one : nobody_odd));
}

}  // namespace

void require_equal_state(Communicator& comm, std::int64_t step, const std::vector<ModelTensor>& state) {
  Digests mine;
  for (const ModelTensor& tensor : state) mine.push_back(hash64(tensor.bytes));
  const Digests whole = gather(comm, hash64(std::as_bytes(std::span(mine))));
  if (all_equal(whole)) return;

  for (std::size_t i = 0; i < state.size(); ++i) {
    const Digests digests = gather(comm, mine[i]);
    if (all_equal(digests)) continue;
    fail(comm, step, fmt::format("the first tensor that differs is '{}'", state[i].name), digests);
  }
  fail(comm, step, "each tensor is equal, but not the digest of all their digests", whole);
}

}  // namespace lockstep
