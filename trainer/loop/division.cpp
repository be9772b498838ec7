#include "trainer/loop/division.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "comm/tree/shard_layout.h"

namespace lockstep {
namespace {

constexpr std::int64_t most_shards = 4096;  // that batch.shards may be

std::int64_t divided_up(std::int64_t value, std::int64_t by) {
  return (value + by - 1) / by;
}

std::string counted(std::int64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

// A share, never rounded to one that it is not.
std::string percent(std::int64_t part, std::int64_t whole) {
  return fmt::format("{} %",
                     std::min<std::int64_t>((200 * part + whole) / (2 * whole), part < whole ? 99 : 100));
}

}  // namespace

Division::Division(std::int64_t shards, std::vector<int> threads)
    : shards_(shards),
      threads_(std::move(threads)),
      all_threads_(std::reduce(threads_.begin(), threads_.end(), std::int64_t{0})) {}

std::int64_t Division::rounds() const {
  const auto workers = static_cast<std::int64_t>(threads_.size());
  std::int64_t most = 0;
  for (std::int64_t rank = 0; rank < workers; ++rank) {
    const std::int64_t block = part(shards_, workers, rank).size();
    most = std::max(most, divided_up(block, threads_[static_cast<std::size_t>(rank)]));
  }
  return most;
}

double Division::busy() const {
  return static_cast<double>(shards_) / static_cast<double>(rounds() * all_threads_);
}

std::string Division::in_words(std::int64_t batch) const {
  const auto workers = static_cast<std::int64_t>(threads_.size());
  std::string text = fmt::format("{} on {}", counted(shards_, "shard"), counted(workers, "worker"));
  if (all_threads_ != workers) text += fmt::format(" with {}", counted(all_threads_, "thread"));
  if (shards_ == rounds() * all_threads_) return text + " divide evenly";
  text += fmt::format(" keep them {} busy", percent(shards_, rounds() * all_threads_));
  const auto better = remedies(batch);
  return better.empty() ? text : fmt::format("{}: {}", text, fmt::join(better, "; "));
}

std::vector<std::string> Division::remedies(std::int64_t batch) const {
  const auto workers = static_cast<std::int64_t>(threads_.size());
  const std::int64_t threads = threads_[0];
  if (all_threads_ != workers * threads) return {"give all workers equally many threads"};

  std::vector<std::string> better;
  const std::int64_t now = rounds();
  if (const auto enough = divided_up(divided_up(shards_, workers), now); enough < threads) {
    better.push_back(fmt::format("{} a worker would be as quick", counted(enough, "thread")));
  }
  if (const auto enough = divided_up(shards_, now * threads); enough < workers) {
    better.push_back(fmt::format("{} would be as quick", counted(enough, "worker")));
  }
  if (now > 1) {
    const auto quicker = divided_up(shards_, (now - 1) * threads);
    better.push_back(
        fmt::format("{} would take {} of the time", counted(quicker, "worker"), percent(now - 1, now)));
  }
  const auto even = divided_up(shards_, all_threads_) * all_threads_;
  if (even <= std::min(batch, most_shards)) {
    better.push_back(fmt::format("another run could have batch.shards: {}", even));
  }
  return better;
}

}  // namespace lockstep
