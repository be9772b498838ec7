#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "trainer/checkpoint/run_directory.h"
#include "trainer/loop/best.h"
#include "trainer/loop/recorder.h"
#include "trainer/loop/session.h"
#include "trainer/loop/snapshot.h"

namespace lockstep {

// Writes what a run leaves behind. Only rank 0 does; all workers call it and hear how it went. A save that
// fails (a full disk, a broken one) harms nothing that was saved before and is warned of. What may wait is
// tried again when the next one is due; the third failure in a row to save one thing is a DataError, alike on
// all workers.
class Saver {
 public:
  // Directory and recorder are rank 0's, null on the others.
  Saver(Communicator& comm, Session& session, RunDirectory* directory, Recorder* recorder);

  // Each answers whether it was saved.
  bool checkpoint();
  bool final_model();
  bool averaged_model();  // with train.weight_ema
  // Saves the model as it was evaluated, unless a better one was. One that could not be saved is kept for the
  // next call, and for the next checkpoint, which comes behind it.
  void best_model(const Score& score);
  // Whether there is one.
  bool best_is_left() const { return best_is_left_; }

  std::int64_t saved_step() const { return saved_step_; }  // of the newest checkpoint
  std::string failures() const;                            // "; 2 saves failed", or nothing

 private:
  bool attempt(std::string_view name, const std::function<void()>& save);
  void write(const std::filesystem::path& file, const std::vector<ModelTensor>& tensors,
             const Metadata& metadata);
  void write_best(const Score& score);
  void write_left_best();
  void prune();
  std::string what_loads() const;
  std::int64_t step() { return session_.counters().step; }

  Communicator& comm_;
  Session& session_;
  RunDirectory* directory_;
  Recorder* recorder_;
  std::int64_t saved_step_;
  // The best model, on rank 0.
  std::optional<Evaluated>
      best_;  // the best evaluation; that of best.safetensors is read when first asked for
  bool best_is_known_ = false;
  Snapshot left_best_;  // where it could not be saved
  Metadata left_metadata_;

  bool best_is_left_ = false;
  int failures_ = 0;
  std::map<std::string, int, std::less<>> failures_in_a_row_;  // of each kind
};

}  // namespace lockstep
