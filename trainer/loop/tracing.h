#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "comm/trace/trace.h"
#include "trainer/loop/clocks.h"
#include "trainer/metrics/chrome_trace.h"

namespace lockstep {

// `train --trace`: every worker records what it does, and rank 0 writes all of it into one file, on its own
// clock. The first steps only: so many as fit (see most_slices). No bit of the result depends on it.
class Tracing {
 public:
  // Collective. file: where rank 0 writes, the others' does not count; empty: nothing is traced. threads: of
  // this worker. most: slices that it records. Throws DataError alike on all workers where the file could not
  // be written.
  Tracing(Communicator& comm, const std::string& file, int threads, std::size_t most);
  Tracing(Communicator& comm, const std::string& file, int threads)
      : Tracing(comm, file, threads, most_slices(comm.size())) {}
  ~Tracing() { comm_.set_trace(nullptr); }
  Tracing(const Tracing&) = delete;
  Tracing& operator=(const Tracing&) = delete;

  // What one of so many workers records: 262,144 slices at most, of 48 bytes each, and 1,048,576 over all
  // workers, which a browser can still show.
  static std::size_t most_slices(int workers);

  // Collective. Ends the recording and writes the file, all or nothing. Throws DataError alike on all
  // workers.
  void write();

 private:
  void write_events(ChromeTrace::Worker worker);
  std::int64_t first_cut_step();
  std::optional<Trace::Clock::time_point> begin_of(std::int64_t step) const;
  std::string traced_steps(std::int64_t cut) const;

  Communicator& comm_;
  std::filesystem::path file_;
  std::optional<Trace> trace_;
  std::chrono::nanoseconds origin_{};  // of the file's times, on rank 0's clock: before any slice
  ClockOffset offset_;
};

}  // namespace lockstep
