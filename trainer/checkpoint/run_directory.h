#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "trainer/checkpoint/atomic_file.h"

namespace lockstep {

// The step of a file that is called as a checkpoint is, "step-00000234.safetensors"; nothing for another
// name.
std::optional<std::int64_t> step_of_checkpoint(std::string_view name);

// The folder of one run, held by rank 0. Owns the lock; knows names, order and pruning of checkpoints, not
// what is in them. All failures are DataError with path and reason; nothing that was there is lost by one.
class RunDirectory {
 public:
  enum class Open : std::uint8_t { fresh, resume, overwrite };

  // Creates the folder if need be and takes the lock (flock on <dir>/.lock), waiting up to `patience` for a
  // job that still holds it. fresh: throws where the folder already holds a run, naming --resume and
  // --overwrite. overwrite: removes what a run writes (config.yaml, metrics.jsonl, digests.jsonl, events.*,
  // the checkpoints and `latest` in checkpoints/, final.safetensors, final_ema.safetensors, best.safetensors)
  // and nothing else. In every case checkpoints/ is there afterwards, and what killed writers left
  // half-written is gone. Throws an Error of code `stopped` where the lock is still waited for when
  // `asked_to_stop` says so.
  RunDirectory(
      std::filesystem::path dir, Open open, std::chrono::milliseconds patience,
      const std::function<bool()>& asked_to_stop = [] { return false; });
  const std::filesystem::path& path() const { return dir_; }
  std::filesystem::path config() const;                       // config.yaml
  std::filesystem::path metrics() const;                      // metrics.jsonl
  std::filesystem::path digests() const;                      // digests.jsonl
  std::filesystem::path final_file() const;                   // final.safetensors
  std::filesystem::path averaged_file() const;                // final_ema.safetensors
  std::filesystem::path best_file() const;                    // best.safetensors
  std::filesystem::path checkpoint(std::int64_t step) const;  // checkpoints/step-00000234.safetensors

  bool finished() const;  // final_file() exists
  // Removes best_file() and averaged_file(): a run that begins must not take another's for its own.
  void remove_kept_models() const;
  // The newest complete checkpoint: what `latest` names, else (it is missing, or names no checkpoint that is
  // there) the newest file; empty without one.
  std::optional<std::filesystem::path> latest() const;
  // All checkpoints, oldest first.
  std::vector<std::filesystem::path> checkpoints() const;

  // After checkpoint(step) was written: points `latest` at it (temporary file, fsync, rename, fsync of the
  // folder).
  void committed(std::int64_t step);
  // After that: deletes all checkpoints but the newest `keep`, and never checkpoint(step) itself. One that
  // cannot be deleted is left to the next call.
  void prune(std::int64_t step, std::int64_t keep) const;

  // Writes a small text file all or nothing.
  void write_text(const std::filesystem::path& file, std::string_view text) const;

 private:
  void lock(std::chrono::milliseconds patience, const std::function<bool()>& asked_to_stop);
  bool holds_run() const;
  void remove_stale_files() const;
  void remove_run() const;
  std::filesystem::path latest_file() const;

  std::filesystem::path dir_;
  FileDescriptor lock_;
};

}  // namespace lockstep
