#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

// Slices of time of one worker, recorded while it runs. Bounded: once `most` slices were recorded it is full,
// and drops what comes.
class Trace {
 public:
  using Clock = std::chrono::steady_clock;

  struct Slice {
    const std::string* name = nullptr;  // in the track's names, as is `part`
    const std::string* part = nullptr;  // what of it: "moments" of a batch_norm; may be empty
    const char* kind = "";              // "phase", "forward", "backward", "wait", …; a literal
    std::int64_t number = -1;           // shard, or place of a collective in its lane; −1: none
    Clock::time_point begin{}, end{};
  };
  // Slices of one thread, or of one lane, in the order in which they ended. Those of a thread nest.
  struct Track {
    std::vector<Slice> slices;
    std::set<std::string, std::less<>> names;
  };

  // Compute thread 0 is the one that uses the communicator: it alone calls all but `add`.
  Trace(int threads, int lanes, std::size_t most);

  // Slices without their texts. From any compute thread, each on its own track.
  void add(int thread, std::string_view name, std::string_view part, const Slice& slice) {
    add(threads_[index(thread)], name, part, slice);
  }
  void add_collective(int lane, std::string_view name, std::string_view part, const Slice& slice) {
    add(lanes_[index(lane)], name, part, slice);
  }
  // What the worker is at from now on. Phases follow each other on the track of thread 0.
  void phase(std::string_view name);
  // The first slice of a step comes next.
  void begin_step(std::int64_t step);
  // Ends the phase.
  void end_phase();

  const std::vector<Track>& threads() const { return threads_; }
  const std::vector<Track>& lanes() const { return lanes_; }
  bool full() const { return recorded_ >= most_; }
  // The steps that began before it was full, and when.
  const std::vector<std::pair<std::int64_t, Clock::time_point>>& steps() const { return steps_; }

 private:
  static std::size_t index(int number) { return static_cast<std::size_t>(number); }
  void add(Track& track, std::string_view name, std::string_view part, Slice slice);

  std::size_t most_;
  std::atomic<std::size_t> recorded_{0};
  std::vector<Track> threads_;
  std::vector<Track> lanes_;
  std::vector<std::pair<std::int64_t, Clock::time_point>> steps_;
  std::string phase_;
  Clock::time_point phase_begin_;
};

// Records a slice of its own lifetime; nothing where there is no trace.
class TraceSpan {
 public:
  // The texts outlive it.
  TraceSpan(Trace* trace, const char* kind, std::string_view name, std::string_view part = "", int thread = 0,
            std::int64_t number = -1)
      : trace_(trace), name_(name), part_(part), thread_(thread) {
    if (trace_ != nullptr) slice_ = {.kind = kind, .number = number, .begin = Trace::Clock::now(), .end = {}};
  }
  ~TraceSpan() {
    if (trace_ == nullptr) return;
    slice_.end = Trace::Clock::now();
    trace_->add(thread_, name_, part_, slice_);
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

 private:
  Trace* trace_;
  std::string_view name_, part_;
  int thread_;
  Trace::Slice slice_;
};

}  // namespace lockstep
