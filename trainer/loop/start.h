#pragma once

#include <filesystem>
#include <optional>

#include "comm/communicator.h"
#include "trainer/checkpoint/run_directory.h"
#include "trainer/checkpoint/whole_file.h"
#include "trainer/loop/session.h"

namespace lockstep {

enum class Start : std::uint8_t { afresh, resumed, finished };

// Brings the session to where a new run begins: at random weights, or at those of train.init_from, which rank
// 0 reads and sends to all. Throws DataError alike on all workers where the file does not fit, with all that
// is missing, unexpected or of another shape.
void begin(Communicator& comm, Session& session);

// Brings the session to where its run goes on. Rank 0 (the others pass null) looks into its run directory
// and sends the newest checkpoint to all: no file system need be shared. Without one, the run begins. Throws
// DataError alike on all workers, having changed nothing, where the checkpoint is broken, of another
// configuration (naming the keys), of other data or of other weights at the beginning; that of
// train.init_from is looked at only if it is still there.
Start find_start(Communicator& comm, const RunDirectory* directory, Session& session);

// A file of rank 0 in everyone's memory; `file` is read on rank 0 only.
FileBytes broadcast_file(Communicator& comm, const std::filesystem::path& file);

// Throws DataError, naming the keys, unless a run under `before` may go on under `now`.
void check_continues(const Config& before, const Config& now, const std::string& file);

}  // namespace lockstep
