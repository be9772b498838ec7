#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

// Lines of metrics.jsonl and digests.jsonl, one JSON object each, flushed a line at a time.
class JsonLines {
 public:
  // Opens for appending, after dropping every line whose "step" is beyond `keep_until` (and a torn last
  // line), so that a resumed run goes on without gap or repeat.
  JsonLines(const std::filesystem::path& file, std::int64_t keep_until);
  void write(const std::string& json);

 private:
  std::ofstream stream_;
};

// One progress line: percent, step, epoch, loss, images/s, time left. On a terminal it is redrawn in place;
// elsewhere plain lines appear at most every few seconds. Only rank 0 draws.
class Progress {
 public:
  struct State {
    std::int64_t step = 0, total_steps = 0, epoch = 0, epochs = 0;
    double loss = 0, accuracy = 0, images_per_s = 0, lr = 0;
  };
  Progress(bool enabled, std::int64_t first_step);
  void update(const State& state);
  // Ends the drawn line, so that a log line can follow.
  void clear();
  // (definition: private members)
};

}  // namespace lockstep
