#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "comm/trace/trace.h"

namespace lockstep {

// One worker's trace as events of Chrome's trace format, which Perfetto and chrome://tracing show: a process
// for the worker, in it a thread for each compute thread and for each lane. Collectives of a lane that are
// under way at once stand on rows of their own.
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
class ChromeTrace {
 public:
  using Time = Trace::Clock::time_point;
  struct Worker {
    int rank = 0;
    std::string name;                // "rank 0 (host)"
    std::vector<std::string> lanes;  // their names
    // A time of this worker's in the time of the file, which all workers share.
    std::function<std::chrono::nanoseconds(Time)> shared_time;
    Time end;  // what begins later is left out
  };
  // The trace outlives it.
  ChromeTrace(const Trace& trace, Worker worker);

  // The next events as JSON, with ",\n" between them, of about so many bytes; empty after the last.
  std::string next(std::size_t bytes);

 private:
  struct Placed {
    const Trace::Slice* slice;
    int row;
    const char* number;  // what the slice's number is
  };

  void place_thread(const Trace::Track& track);
  void place_lane(const Trace::Track& track, const std::string& name);
  std::vector<const Trace::Slice*> in_order(const Trace::Track& track) const;
  void name(const char* what, int row, const std::string& arguments);
  void name_row(int row, const std::string& name);
  std::string event(const Placed& placed) const;

  Worker worker_;
  int rows_ = 0;
  std::vector<std::string> names_;  // events that name the process and its rows
  std::vector<Placed> slices_;
  std::size_t next_ = 0;  // of both, one behind the other
};

}  // namespace lockstep
