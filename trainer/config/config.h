#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/config/schema.h"

namespace lockstep {

// Reads a configuration: defaults < file < `settings` ("a.b=c", as --set has them).
// Everything that is wrong is collected and thrown as one UsageError, a line each:
//   configs/a.yaml:12:3: unknown key 'optimizer.learning_rate'; did you mean 'optimizer.lr'?
//   --set batch.global=abc: expected a whole number, at least 1
// Checked here: syntax, keys, types, ranges, keys that exclude each other, and what needs no data (workers
// and shards, model names, layer lists' keys). Layer shapes are the model builder's to check.
Config load_config(const std::filesystem::path& file, std::span<const std::string> settings);
// The same from text, with `name` in place of the file's name in messages.
Config parse_config(std::string_view yaml, const std::string& name, std::span<const std::string> settings);

// The same configuration with `settings` on top.
Config with_settings(const Config& config, std::span<const std::string> settings);

// The effective configuration, every key with its value, as YAML that load_config reads back to an equal one.
std::string to_yaml(const Config& config);

// The part that determines the result, as JSON text with sorted keys: what a checkpoint's metadata holds and
// what a resumed run must share. Neither run_dir, data.path, comm, threads, plan, checkpoint,
// evaluation.every_*, nor train (but train.weight_ema) is in it; with early stopping what decides when that
// ends the run is. `from_result_json` fills the rest with defaults; it throws DataError on text that is no
// such JSON.
std::string result_json(const Config& config);
Config from_result_json(std::string_view json);
// The keys in which two of them differ, as "optimizer.lr: 0.1, now 0.2".
std::vector<std::string> differences(std::string_view before, std::string_view after);

// The table of all keys in Markdown, as configs/README.md shows it between its markers.
std::string keys_markdown();

}  // namespace lockstep
