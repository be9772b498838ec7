#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "trainer/metrics/growing_file.h"

namespace lockstep {

// Lines of metrics.jsonl and digests.jsonl, one JSON object each, written a line at a time. Failures are
// those of GrowingFile.
class JsonLines {
 public:
  // Opens for appending, after dropping every line whose "step" is beyond `keep_until` and every one that is
  // torn (no JSON object), so that a resumed run goes on without gap or repeat. A file with nothing to drop
  // is left as it is; another is replaced all or nothing.
  JsonLines(const std::filesystem::path& file, std::int64_t keep_until);
  // One JSON object in one line, without the line's end.
  void write(const std::string& json) { file_.write(json + '\n'); }
  // All lines so far; empty where it is no file, but a pipe that somebody put in its place.
  std::string text() const;
  // Whether the file has a line of that step with that key.
  bool holds(std::int64_t step, const std::string& key) const;
  // Brings all lines so far to the disk.
  void sync() { file_.sync(); }

 private:
  GrowingFile file_;
};

// One progress line: percent, step, epoch, loss, accuracy, images/s, time left. Where standard error is a
// terminal it is redrawn in place; elsewhere it is a plain line of the log now and then, more and more
// seldom. The first and the last step are always shown. Only rank 0 draws: the others pass enabled = false.
class Progress {
 public:
  // `step` counts the steps done, of `total_steps`; `epoch` counts from 1, and is shown without a total where
  // `epochs` is 0. `accuracy` is a fraction.
  struct State {
    std::int64_t step = 0, total_steps = 0, epoch = 0, epochs = 0;
    double loss = 0, accuracy = 0, images_per_s = 0, lr = 0;
  };
  // `first_step` steps were done before this run started or went on; time left is told from the steps since.
  Progress(bool enabled, std::int64_t first_step);
  void update(const State& state);
  // Ends the drawn line, so that a log line can follow.
  void clear();
  // A text of whole lines for who looks on: on a terminal alone.
  void show(const std::string& text);

 private:
  using Clock = std::chrono::steady_clock;

  bool enabled_;
  bool terminal_;
  bool drawn_ = false;  // the terminal's line is not ended yet
  std::int64_t first_step_;
  Clock::time_point start_;
  std::optional<Clock::time_point> shown_;
};

// How long a log is left without such a line, by how long it has been written: 5 s at first, then a tenth of
// that time, 10 minutes at most. A long run has some hundred lines, not thousands.
std::chrono::seconds log_interval(std::chrono::seconds elapsed);

// The text of that line; without `left` it tells no time left.
std::string progress_text(const Progress::State& state, std::optional<std::chrono::seconds> left);

}  // namespace lockstep
