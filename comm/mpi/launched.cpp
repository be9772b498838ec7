#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "comm/mpi/mpi.h"

namespace lockstep {

namespace {

std::optional<int> number_in(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return std::nullopt;
  const std::string_view digits(text);
  int value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 0) {
    throw UsageError(
        fmt::format("{}='{}' in the environment: a launcher puts a number there; unset it to "
                    "run alone",
                    variable, text));
  }
  return value;
}

struct Variables {
  const char* rank;
  const char* size;
};

// mpirun of Open MPI; launchers that speak PMI (MPICH's, srun --mpi=pmi2); srun --mpi=pmix, where PMIx gives
// the rank and Slurm the size. Slurm's variables alone prove nothing: a batch script has them too.
constexpr std::array launchers = {
    Variables{"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"},
    Variables{"PMI_RANK", "PMI_SIZE"},
    Variables{"PMIX_RANK", "SLURM_STEP_NUM_TASKS"},
};

}  // namespace

std::optional<Launch> launched() {
  for (const auto& launcher : launchers) {
    const auto rank = number_in(launcher.rank);
    const auto size = number_in(launcher.size);
    if (rank && size) return Launch{*rank, *size};
  }
  // srun without PMI: each process would train alone, all into the same run directory.
  if (const auto tasks = number_in("SLURM_STEP_NUM_TASKS"); tasks.value_or(1) > 1) {
    throw UsageError(
        fmt::format("srun started {} processes, but does not tell them of each other: start them with srun "
                    "--mpi=pmix, or one process with srun -n 1",
                    *tasks));
  }
  return std::nullopt;
}

}  // namespace lockstep
