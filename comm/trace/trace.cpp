#include "comm/trace/trace.h"

namespace lockstep {
namespace {

const std::string* kept(std::set<std::string, std::less<>>& names, std::string_view name) {
  const auto known = names.find(name);
  return known != names.end() ? &*known : &*names.emplace(name).first;
}

}  // namespace

Trace::Trace(int threads, int lanes, std::size_t most)
    : most_(most), threads_(index(threads)), lanes_(index(lanes)) {}

void Trace::add(Track& track, std::string_view name, std::string_view part, Slice slice) {
  if (recorded_.fetch_add(1, std::memory_order_relaxed) >= most_) return;
  slice.name = kept(track.names, name);
  slice.part = kept(track.names, part);
  track.slices.push_back(slice);
}

void Trace::phase(std::string_view name) {
  if (name == phase_) return;
  end_phase();
  phase_ = name;
}

void Trace::end_phase() {
  const auto now = Clock::now();
  if (!phase_.empty()) add(0, phase_, "", {.kind = "phase", .begin = phase_begin_, .end = now});
  phase_.clear();
  phase_begin_ = now;
}

void Trace::begin_step(std::int64_t step) {
  if (!full()) steps_.emplace_back(step, Clock::now());
}

}  // namespace lockstep
