#include "trainer/loop/tracing.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <numeric>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "comm/base/error.h"
#include "comm/base/log.h"
#include "trainer/checkpoint/atomic_file.h"
#include "trainer/loop/agree.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using std::chrono::nanoseconds;
using Time = Trace::Clock::time_point;

constexpr std::int64_t no_step = std::numeric_limits<std::int64_t>::max();

nanoseconds now() {
  return Trace::Clock::now().time_since_epoch();
}

// Better now than after the training: makes the file's folder, and tries to write there.
void check_writable(const fs::path& file) {
  std::error_code error;
  if (file.has_parent_path()) fs::create_directories(file.parent_path(), error);
  if (fs::is_directory(file, error))
    throw DataError(fmt::format("{}: is a folder; --trace names a file", file.string()));
  const AtomicFile attempt(file);
}

// This worker's time on rank 0's clock. Clocks of two machines part by some microseconds a second, so between
// the two comparisons the offset is drawn as a line.
nanoseconds on_rank_0(const ClockOffset& begin, const ClockOffset& end, Time time) {
  const nanoseconds mine = time.time_since_epoch();
  const auto passed = static_cast<double>((mine - begin.at).count());
  const auto whole = static_cast<double>(std::max(end.at - begin.at, nanoseconds(1)).count());
  const auto gained = static_cast<double>((end.ahead - begin.ahead).count());
  return mine - begin.ahead - nanoseconds(static_cast<std::int64_t>(gained * passed / whole));
}

std::vector<std::string> lane_names() {
  std::vector<std::string> names;
  for (const Lane lane : {Lane::statistics, Lane::scatter, Lane::gather}) names.emplace_back(name_of(lane));
  return names;
}

bool any(Communicator& comm, bool mine) {
  return largest(comm, "trace", mine ? 1 : 0) != 0;
}

// Everybody's text at rank 0; empty texts on the others.
std::vector<std::string> texts_at_rank_0(Communicator& comm, const std::string& mine) {
  const auto workers = static_cast<std::size_t>(comm.size());
  const std::vector<std::size_t> one_each(workers, 1);
  const std::uint64_t size = mine.size();
  std::vector<std::uint64_t> sizes(workers);
  comm.all_gather(Lane::statistics, "trace", std::span(&size, 1), std::span(sizes), one_each).wait();

  std::vector<std::size_t> sends(workers, 0);
  std::vector<std::size_t> receives(workers, 0);
  sends[0] = mine.size();
  if (comm.rank() == 0) receives.assign(sizes.begin(), sizes.end());
  std::string all(std::reduce(receives.begin(), receives.end()), '\0');
  comm.all_to_all(Lane::statistics, "trace", std::span<const char>(mine), sends, std::span<char>(all),
                  receives)
      .wait();

  std::vector<std::string> texts;
  std::size_t begin = 0;
  for (const std::size_t count : receives) {
    texts.push_back(all.substr(begin, count));
    begin += count;
  }
  return texts;
}

}  // namespace

std::size_t Tracing::most_slices(int workers) {
  constexpr std::size_t of_one = 1 << 18;
  constexpr std::size_t of_all = 1 << 20;
  return std::min(of_one, of_all / static_cast<std::size_t>(workers));
}

Tracing::Tracing(Communicator& comm, const std::string& file, int threads, std::size_t most)
    : comm_(comm), file_(file) {
  if (from_rank_0(comm_, "trace", file.empty() ? 0 : 1) == 0) return;
  agree(comm_, "trace file", [&] {
    if (comm_.rank() == 0) check_writable(file_);
  });
  origin_ = nanoseconds(from_rank_0(comm_, "trace", now().count()));
  offset_ = compare_clocks(comm_, now);
  trace_.emplace(threads, lane_count, most);
  comm_.set_trace(&*trace_);
}

void Tracing::write() {
  if (!trace_) return;
  comm_.set_phase("trace");
  trace_->end_phase();
  comm_.set_trace(nullptr);
  const ClockOffset later = compare_clocks(comm_, now);
  const std::int64_t cut = first_cut_step();
  write_events({.rank = comm_.rank(),
                .name = fmt::format("rank {} on {}", comm_.rank(), host_name()),
                .lanes = lane_names(),
                .shared_time = [&](Time time) { return on_rank_0(offset_, later, time) - origin_; },
                .end = begin_of(cut).value_or(Time::max())});
  if (comm_.rank() == 0) spdlog::info("trace of {}: {}", traced_steps(cut), file_.string());
}

// Every worker's piece goes to rank 0 and to its disk before the next ones are made.
void Tracing::write_events(ChromeTrace::Worker worker) {
  const std::size_t piece = (std::size_t{64} << 20) / static_cast<std::size_t>(comm_.size());
  ChromeTrace events(*trace_, std::move(worker));
  std::optional<AtomicFile> output;
  std::exception_ptr failure;
  const auto attempt = [&](const auto& write) {
    try {
      if (comm_.rank() == 0 && !failure) write();
    } catch (const DataError&) {
      failure = std::current_exception();
    }
  };
  attempt([&] { output.emplace(file_); });
  std::string_view before = "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n";
  for (std::string mine = events.next(piece); any(comm_, !mine.empty()); mine = events.next(piece)) {
    for (const std::string& text : texts_at_rank_0(comm_, mine)) {
      if (text.empty()) continue;
      attempt([&] {
        output->write(before);
        output->write(text);
      });
      before = ",\n";
    }
  }
  attempt([&] {
    output->write("\n]}\n");
    output->commit();
  });
  agree(comm_, "trace file", [&] {
    if (failure) std::rethrow_exception(failure);
  });
}

// Of the workers that were full the one that was earliest decides, so that all end with the same step.
std::int64_t Tracing::first_cut_step() {
  std::int64_t mine = no_step;
  if (trace_->full()) mine = trace_->steps().empty() ? 0 : trace_->steps().back().first;
  return -largest(comm_, "trace", -mine);
}

// Nothing where not even the first step is whole: then it is better than none.
std::optional<Time> Tracing::begin_of(std::int64_t step) const {
  const auto found = std::ranges::find(trace_->steps(), step, [](const auto& it) { return it.first; });
  if (found == trace_->steps().end() || found == trace_->steps().begin()) return std::nullopt;
  return found->second;
}

std::string Tracing::traced_steps(std::int64_t cut) const {
  const auto& steps = trace_->steps();
  if (steps.empty()) return "no step";
  const std::int64_t first = steps.front().first;
  if (cut == no_step) return fmt::format("steps {} to {}", first, steps.back().first);
  if (cut <= first) return fmt::format("a part of step {}, which is too large to be traced", first);
  return fmt::format("steps {} to {}, more did not fit", first, cut - 1);
}

}  // namespace lockstep
