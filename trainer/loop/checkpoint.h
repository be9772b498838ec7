#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "layers/model/model.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/config/schema.h"
#include "trainer/data/loader.h"
#include "trainer/loop/best.h"
#include "trainer/loop/evaluate.h"
#include "trainer/loop/setup.h"
#include "trainer/optim/optimizer.h"

// What is in a checkpoint. Equal training gives equal bytes: no path, time, host or number of workers.
//
// Tensors: parameters and buffers by PyTorch's names; in checkpoints/ also "optimizer.<state>.<parameter>",
// cut from the optimizer's arenas, the averaged model under "ema_weights.", and the counters "train.*".
// Metadata: see `describe`.
namespace lockstep {

// How far a run is.
struct Counters {
  std::int64_t step = 0;     // finished steps
  std::int64_t skipped = 0;  // of these, undone because they diverged
  std::int64_t skipped_in_a_row = 0;
  std::optional<EarlyStopping> early_stopping;  // where the configuration has it
};

// All that a resumed run needs, in the memory of its owners: valid as long as they are.
std::vector<ModelTensor> training_state(Model& model, Optimizer& optimizer, Counters& counters);

// What inference and resuming have to know besides tensors.
struct Facts {
  InputFacts input;
  InputNormalization normalization;
  std::vector<std::string> class_names;
  std::int64_t samples = 0;  // of the training set
  std::string train_digest;  // of its pixels and labels (content_digest)
  std::string init_digest;   // of the file of train.init_from (digest); empty: there was none
  std::int64_t step = 0;
  std::int64_t epoch = 0;  // finished epochs
};
Metadata describe(const Config& config, const Facts& facts);
// The same with the evaluation of that step, for best.safetensors.
Metadata with_score(Metadata metadata, const Score& score);
// Throw DataError, naming the file, where something is missing or cannot be read.
Score read_score(const Metadata& metadata, const std::string& file);
Facts read_facts(const Metadata& metadata, const std::string& file);
Config read_config(const Metadata& metadata, const std::string& file);

void save_tensors(const std::filesystem::path& file, const std::vector<ModelTensor>& tensors,
                  const Metadata& metadata);

// What a file is read for decides what it may hold besides: nothing; what only training needs ("optimizer.",
// "train.", "ema_weights."); running statistics beside the primary ones ("stats.") too.
enum class Purpose : std::uint8_t { resume, inference, weights };

// Copies a file's tensors into `tensors`, after checking that all of them are there with their dtypes and
// shapes, and no others. To resume, a file may lack all the derived ones, which then stay as they were:
// false. Throws one DataError that lists all that does not fit; then nothing was changed.
bool load_tensors(const SafetensorsFile& file, const std::string& name,
                  const std::vector<ModelTensor>& tensors, Purpose purpose);

}  // namespace lockstep
