#include "cli/mpi_team.h"

#include "base/error.h"

#include <algorithm>
#include <cstdlib>
#include <exception>

#ifdef VULCAT_HAVE_MPI
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>
#endif

namespace vulcat::cli {

namespace {

/// How many processes a launcher says it started: Open MPI, MPICH and others with a process manager interface.
int launchedProcesses() {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"})
        if (const char* value = std::getenv(name)) return std::atoi(value);
    return 1;
}

#ifdef VULCAT_HAVE_MPI

constexpr size_t kMessage = size_t{1} << 24;  // elements; MPI counts in int

class MpiTeam final : public calibrate::Team {
  public:
    MpiTeam() {
        MPI_Init(nullptr, nullptr);
        MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
        MPI_Comm_size(MPI_COMM_WORLD, &size_);
    }
    /// After a failure the others may wait somewhere else: then there is no orderly end, see endTogether.
    ~MpiTeam() override {
        if (std::uncaught_exceptions() == 0) MPI_Finalize();
    }
    int rank() const override { return rank_; }
    int size() const override { return size_; }
    void sum(std::span<double> values) override { sumOf(values, MPI_DOUBLE); }
    void sum(std::span<float> values) override { sumOf(values, MPI_FLOAT); }
    void meet() override { MPI_Barrier(MPI_COMM_WORLD); }

  private:
    /// One process adds and tells the others: an MPI_Allreduce may give each of them other last bits.
    template <typename T>
    void sumOf(std::span<T> values, MPI_Datatype type) {
        for (size_t at = 0; at < values.size(); at += kMessage) {
            const std::span<T> part = values.subspan(at, std::min(kMessage, values.size() - at));
            const int count = static_cast<int>(part.size());
            MPI_Reduce(rank_ == 0 ? MPI_IN_PLACE : part.data(), rank_ == 0 ? part.data() : nullptr, count, type,
                       MPI_SUM, 0, MPI_COMM_WORLD);
            MPI_Bcast(part.data(), count, type, 0, MPI_COMM_WORLD);
        }
    }

    int rank_ = 0, size_ = 1;
};

#endif

}  // namespace

std::unique_ptr<calibrate::Team> startedTogether() {
    if (launchedProcesses() <= 1) return nullptr;
#ifdef VULCAT_HAVE_MPI
    return std::make_unique<MpiTeam>();
#else
    throw Error(Result::Unsupported,
                "this vulcat was built without MPI, so it cannot share work under mpirun; install libopenmpi-dev and "
                "build again");
#endif
}

void endTogether([[maybe_unused]] int exitCode) {
#ifdef VULCAT_HAVE_MPI
    int begun = 0, ended = 0;
    MPI_Initialized(&begun);
    MPI_Finalized(&ended);
    if (begun != 0 && ended == 0) MPI_Abort(MPI_COMM_WORLD, exitCode);
#endif
}

}  // namespace vulcat::cli
