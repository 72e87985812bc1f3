# boltzmap: GNU make. `make help` lists what there is.
#
# Everything that is made goes to $(BUILD); for a build outside the source tree run
#   make -f /path/to/boltzmap/Makefile
# in the folder where build/ shall be.

TOP := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
ifneq ($(words $(TOP)),1)
$(error GNU make cannot work in a folder with blanks in its name: $(CURDIR))
endif

BUILD ?= build
SETUP ?= yes#        install missing Debian packages before configuring; no: leave the system alone
ARCH ?= native#      instruction set: native, x86-64-v3, x86-64-v4, …
WERROR ?=#           WERROR=1 makes warnings errors
V ?=#                V=1 shows the commands in full
CORES := $(shell nproc)
NP ?= $(CORES)#      ranks of `run` and `paper`
OUT ?= out
RESULTS ?= $(BUILD)/bench/RESULTS.md

# As many compilations at a time as there are cores, unless -j says otherwise.
ifeq ($(MAKELEVEL)$(filter -j% --jobserver%,$(MAKEFLAGS)),0)
MAKEFLAGS += -j$(CORES)
endif

# Kernels of the networks are compiled for several instruction sets and chosen at start.
KERNEL_ARCH = $(ARCH)
X86 = $(findstring x86_64,$(shell $(CC) -dumpmachine))
$(foreach real,f32 f64,$(BUILD)/$(real)/flow/kernels_v4.o): KERNEL_ARCH = $(if $(X86),x86-64-v4,$(ARCH))
$(foreach real,f32 f64,$(BUILD)/$(real)/flow/kernels_v3.o): KERNEL_ARCH = $(if $(X86),x86-64-v3,$(ARCH))

WARNINGS := -Wall -Wextra -Wshadow -Wconversion
CFLAGS ?= -O3 -g
# No errno and no traps: what it takes to turn loops with sqrt and divisions into vector code; values
# are not changed. Loops with `omp simd` are vector kernels; threads are used by exact distances alone.
KERNEL_FLAGS = -march=$(strip $(KERNEL_ARCH)) -fno-math-errno -fno-trapping-math $(OPENMP_CFLAGS)

# In release builds; sanitizers have checks of their own. Glibc wants optimisation with _FORTIFY_SOURCE.
HARDENING = $(if $(SANITIZE),,$(HARDENING_CFLAGS) \
  $(if $(filter -O1 -O2 -O3,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2))

MAIN := $(TOP)/src/app/main.c
SOURCES := $(filter-out $(MAIN),$(sort $(wildcard $(TOP)/src/*/*.c)))
HEADERS := $(sort $(wildcard $(TOP)/include/boltzmap/*/*.h $(TOP)/src/*/*.h))
UNIT_TESTS := $(sort $(wildcard $(TOP)/tests/unit/*/test_*.c))
# Layers whose arithmetic is bm_real_t are tested in float32 and in float64.
REAL_TESTS := $(filter $(foreach layer,flow train generate analyse transport,$(TOP)/tests/unit/$(layer)/%),\
  $(UNIT_TESTS))
MPI_TESTS := $(sort $(wildcard $(TOP)/tests/mpi/test_*.c))
FAULT_DRIVER := $(TOP)/tests/fault/load_all.c
FAULT_LIBRARY := $(TOP)/tests/fault/interpose.c
BENCHES := $(sort $(wildcard $(TOP)/tests/bench/bench_*.c))
FUZZ_SOURCES := $(sort $(wildcard $(TOP)/tests/fuzz/*.c))
TEST_HEADERS := $(sort $(wildcard $(TOP)/tests/*/*.h $(TOP)/tests/unit/*/*.h))
C_FILES := $(MAIN) $(SOURCES) $(HEADERS) $(UNIT_TESTS) $(MPI_TESTS) $(FAULT_DRIVER) $(FAULT_LIBRARY) \
  $(BENCHES) $(FUZZ_SOURCES) $(TEST_HEADERS)

say = $(if $(V),,@echo '  $(1) $(patsubst $(BUILD)/%,%,$@)';)

# Open MPI's own switches, so that ranks start for root, in containers and on few cores.
export OMPI_ALLOW_RUN_AS_ROOT := 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM := 1
export OMPI_MCA_rmaps_base_oversubscribe := 1
export OMPI_MCA_btl_vader_single_copy_mechanism := none

.PHONY: all run paper report check check-unit check-mpi check-system check-fault fault check-slurm check-asan \
  check-valgrind check-fuzz fuzz bench bench-training bench-dynamics bench-transport bench-scaling \
  format check-format layers analyse install dist clean help setup setup-tests setup-slurm setup-fuzz \
  setup-valgrind setup-analyse FORCE
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

GOALS_WITHOUT_CONFIG := help clean setup format check-format layers dist print-%
ifneq ($(filter-out $(GOALS_WITHOUT_CONFIG),$(or $(MAKECMDGOALS),all)),)
include $(BUILD)/config.mk
else ifneq ($(filter print-%,$(MAKECMDGOALS)),)
-include $(wildcard $(BUILD)/config.mk)
endif

all: $(BUILD)/boltzmap

help:
	@echo "make            build $(BUILD)/boltzmap"
	@echo "make run        set up, build and run the two-particle experiment in minutes; ends with a report"
	@echo "make paper      every table and figure of the paper at full size (two cores: about five hours); or"
	@echo "                paper-two-particle, paper-alanine-dihedral, paper-alanine-cartesian"
	@echo "make report     make the report of RUN=folder anew, of the cases that are finished"
	@echo "make check      set up and run every test: check-unit, check-mpi, check-system, check-fault"
	@echo "make fault      the faults of check-fault at length, as ARGS='--runs 200 --points 20'"
	@echo "make check-slurm the jobs in a SLURM of its own, as root; installs slurmctld, slurmd and munge"
	@echo "make check-asan the tests under AddressSanitizer and UBSan, about an hour; check-valgrind: unit and MPI"
	@echo "                tests under valgrind, some hours"
	@echo "make check-fuzz readers of files under libFuzzer for a minute; fuzz: for TIME=$(strip $(TIME)) seconds"
	@echo "make bench      speed beside peers, which it installs into $(BUILD)/bench-env; tables to RESULTS=FILE:"
	@echo "                bench-training: training and generation beside JAX and PyTorch; bench-dynamics: OpenMM,"
	@echo "                energy drift; bench-transport: exact W2 beside POT, SciPy, lapx; bench-scaling: their ranks;"
	@echo "                each with ARGS='--help', '--quick', '--write FILE', …"
	@echo "make format     lay out the C files; check-format only looks; layers checks who includes whom"
	@echo "make analyse    clang-tidy, cppcheck and gcc -fanalyzer over the C files"
	@echo "make setup      install what is missing (Debian, Ubuntu); the first build does it too, unless SETUP=no"
	@echo "make install    to \$$(DESTDIR)\$$(prefix), as prefix=\$$HOME/.local; make dist: a source archive of"
	@echo "                HEAD; make clean"
	@echo "make print-VAR  show a variable"
	@echo "variables       NP=$(strip $(NP)) ranks, ARCH=$(strip $(ARCH)), SETUP=yes|no, BUILD=$(BUILD), OUT=$(OUT),"
	@echo "                CFLAGS, LDFLAGS, WERROR=1, V=1, CONFIGURE_ARGS (see $(BUILD)/configure --help);"
	@echo "                another MPI compiler: MPICC; another C compiler under it: OMPI_CC or MPICH_CC"

# --- set-up -------------------------------------------------------------------------------------

setup:
	@$(if $(filter no,$(SETUP)),:,$(TOP)/build-aux/setup.sh)

# The log and the cache of autoconf stay in $(BUILD), so that the source tree may be read-only.
$(BUILD)/config.mk: $(TOP)/configure.ac $(TOP)/build-aux/config.mk.in $(TOP)/build-aux/config.h.in \
    $(TOP)/build-aux/setup.sh
	@$(MAKE) --no-print-directory -f $(TOP)/Makefile setup
	@command -v autoconf >/dev/null || \
	  { echo "autoconf is missing: apt-get install autoconf | spack install autoconf" >&2; exit 1; }
	@mkdir -p $(BUILD)
	@cd $(BUILD) && autoconf -o configure $(TOP)/configure.ac && rm -rf autom4te.cache
	@cd $(BUILD) && ./configure --quiet --srcdir=$(TOP) $(CONFIGURE_ARGS)
	@touch $@

# --- build --------------------------------------------------------------------------------------

CPPFLAGS_ALL = -I$(TOP)/include -I$(BUILD) $(LIB_CPPFLAGS) $(CPPFLAGS)
CFLAGS_ALL = -std=gnu11 $(WARNINGS) $(if $(strip $(WERROR)),-Werror) $(CFLAGS) $(KERNEL_FLAGS) $(HARDENING) \
  $(SANITIZE)
LDFLAGS_ALL = $(if $(SANITIZE),,$(HARDENING_LDFLAGS)) $(LDFLAGS)
COMPILE = $(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP

objects = $(patsubst $(TOP)/src/%.c,$(BUILD)/$(1)/%.o,$(SOURCES))

# $(1): f32 or f64, $(2): its definitions, $(3): suffix of library and program
define build_rules
$(BUILD)/$(1)/%.o: $(TOP)/src/%.c $(BUILD)/flags | $(BUILD)/revision.h
	@mkdir -p $$(@D)
	$$(call say,CC)$$(COMPILE) $(2) -c $$< -o $$@

$(BUILD)/libboltzmap$(3).a: $$(call objects,$(1)) $(BUILD)/sources
	@rm -f $$@
	$$(call say,AR)ar rcs $$@ $$(filter %.o,$$^)

$(BUILD)/boltzmap$(3): $(BUILD)/$(1)/app/main.o $(BUILD)/libboltzmap$(3).a
	$$(call say,LD)$$(CC) $$(CFLAGS_ALL) $$^ $$(LDFLAGS_ALL) $$(LIBS) -lm -o $$@

$(BUILD)/$(1)/tests/%: $(TOP)/tests/%.c $(BUILD)/libboltzmap$(3).a
	@mkdir -p $$(@D)
	$$(call say,CC)$$(COMPILE) $$(CMOCKA_CPPFLAGS) $(2) -MF $$@.d -MT $$@ $$< \
	  $(BUILD)/libboltzmap$(3).a $$(LDFLAGS_ALL) $$(LIBS) $$(CMOCKA_LIBS) -lm -o $$@
endef
$(eval $(call build_rules,f32,,))
$(eval $(call build_rules,f64,-DBM_REAL_IS_DOUBLE,-f64))
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

$(BUILD)/f32/base/version.o $(BUILD)/f64/base/version.o: $(BUILD)/revision.h

# Files that are rewritten only when their one line is another one, so that what depends on them is
# made anew when flags change, a source file comes or goes, or another revision is checked out.
write_if_other = [ "$$line" = "$$(cat $@ 2>/dev/null)" ] || echo "$$line" >$@

$(BUILD)/flags: FORCE | $(BUILD)/config.mk
	@line='$(subst ','\'',$(COMPILE) $(LDFLAGS_ALL) $(LIBS) $(OMPI_CC) $(MPICH_CC))'; $(write_if_other)

$(BUILD)/sources: FORCE | $(BUILD)/config.mk
	@line='$(SOURCES)'; $(write_if_other)

# In an archive of `make dist`, git has left the revision in build-aux/revision.
$(BUILD)/revision.h: FORCE | $(BUILD)/config.mk
	@if [ -e $(TOP)/.git ]; then revision=$$(git -C $(TOP) describe --always --dirty=+ --abbrev=12 2>/dev/null); \
	else revision=$$(sed '/Format/d' $(TOP)/build-aux/revision); fi; \
	line="#define BM_REVISION \"$${revision:-unknown}\""; $(write_if_other)

# --- experiments --------------------------------------------------------------------------------

# What `run` makes smaller than input/two-particle.cfg; the report says so.
QUICK := training.epochs=90 flow.hidden=[128,128] evaluate.average_samples=200000 \
  evaluate.lipschitz_points=2000

run: $(BUILD)/boltzmap
	$(MPIRUN) -n $(NP) $(BUILD)/boltzmap run $(TOP)/input/two-particle.cfg \
	  --out $(OUT)/two-particle-quick $(foreach change,$(QUICK),--set '$(change)')
	@$(PYTHON) $(TOP)/postprocess/report.py $(OUT)/two-particle-quick

# The decks of the paper's sections 6.1, 6.2 and 6.3.
PAPER := two-particle alanine-dihedral alanine-cartesian

# One after the other, whatever -j says: each has the machine for itself.
paper: $(BUILD)/boltzmap
	@for deck in $(PAPER); do \
	  $(MAKE) --no-print-directory -f $(TOP)/Makefile paper-$$deck || exit 1; \
	done

.PHONY: $(PAPER:%=paper-%)
$(PAPER:%=paper-%): paper-%: $(BUILD)/boltzmap
	$(MPIRUN) -n $(NP) $(BUILD)/boltzmap run $(TOP)/input/$*.cfg --out $(OUT)/$*
	@$(PYTHON) $(TOP)/postprocess/report.py $(OUT)/$*

report:
	@$(PYTHON) $(TOP)/postprocess/report.py $(or $(RUN),$(error make report: say which with RUN=folder))

# --- tests --------------------------------------------------------------------------------------

tests_of = $(patsubst $(TOP)/%.c,$(BUILD)/$(1)/%,$(2))
UNIT_PROGRAMS = $(call tests_of,f32,$(UNIT_TESTS)) $(call tests_of,f64,$(REAL_TESTS))
MPI_PROGRAMS = $(call tests_of,f32,$(MPI_TESTS))
TEST_PYTHON = BM_TOP=$(TOP) BM_BUILD=$(abspath $(BUILD)) MPIRUN=$(MPIRUN) $(PYTHON)
RUN_TESTS = $(TEST_PYTHON) $(TOP)/tests/run.py

# Beside what the program needs. Where it cannot be installed, the test that wants it says so.
TEST_PACKAGES := python3-mdanalysis

setup-tests:
	@$(if $(filter no,$(SETUP)),:,$(TOP)/build-aux/setup.sh $(TEST_PACKAGES) || true)

check check-system: | setup-tests

FAULT_PROGRAMS = $(call tests_of,f32,$(FAULT_DRIVER)) $(BUILD)/tests/fault/interpose.so

$(BUILD)/tests/fault/interpose.so: $(FAULT_LIBRARY) $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(LIB_CPPFLAGS) -std=gnu11 $(WARNINGS) -O1 -fPIC -shared $< -o $@ -ldl

check: $(UNIT_PROGRAMS) $(MPI_PROGRAMS) $(FAULT_PROGRAMS) $(BUILD)/boltzmap
	@$(RUN_TESTS) --unit $(abspath $(UNIT_PROGRAMS)) --mpi $(abspath $(MPI_PROGRAMS)) --system --fault

check-unit: $(UNIT_PROGRAMS)
	@$(RUN_TESTS) --unit $(abspath $^)

check-mpi: $(MPI_PROGRAMS)
	@$(RUN_TESTS) --mpi $(abspath $^)

check-system: $(BUILD)/boltzmap
	@$(RUN_TESTS) --system

# A short one; tests/fault/README.md has that by hand.
check-fault: $(FAULT_PROGRAMS) $(BUILD)/boltzmap
	@$(RUN_TESTS) --fault

fault: $(FAULT_PROGRAMS) $(BUILD)/boltzmap
	@$(TEST_PYTHON) $(TOP)/tests/fault/campaign.py $(ARGS)

# Needs a SLURM, which most machines for development lack: not part of `check`.
setup-slurm:
	@$(if $(filter no,$(SETUP)),:,$(TOP)/build-aux/setup.sh munge slurmctld slurmd slurm-client)

check-slurm: $(BUILD)/boltzmap | setup-slurm
	@$(TEST_PYTHON) $(TOP)/tests/slurm/check_slurm.py $(ARGS)

# The tests under AddressSanitizer and UBSan, but for faults, whose library ASan does not go with, one part after the
# other. Leaks are looked for in the readers alone (check-fuzz): Open MPI unloads its modules before the end, and what
# those leave cannot be told from the program's own. On two cores about an hour.
check-asan: | setup-tests
	+@for goal in $(ASAN_GOAL); do ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 BM_PATIENCE=10 \
	  $(MAKE) --no-print-directory -f $(TOP)/Makefile BUILD=$(BUILD)-asan CFLAGS='-O1 -g' \
	  SANITIZE='-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all' $$goal || exit 1; done

ASAN_GOAL ?= check-unit check-mpi check-system#  parts of the suite

# Unit and MPI tests under valgrind, with Open MPI's own list of what to pass over. Kernels are for processors
# without AVX-512, which valgrind does not know. On two cores some hours.
VALGRIND = valgrind --quiet --error-exitcode=99 --leak-check=no --child-silent-after-fork=yes \
  --suppressions=$(or $(wildcard /usr/share/openmpi/openmpi-valgrind.supp),/dev/null) \
  --suppressions=$(TOP)/tests/valgrind.supp

setup-valgrind:
	@$(if $(filter no,$(SETUP)),:,$(TOP)/build-aux/setup.sh valgrind)

check-valgrind: | setup-valgrind
	+@for goal in check-unit check-mpi; do BM_PATIENCE=40 BM_WRAPPER='$(VALGRIND)' OPENBLAS_CORETYPE=Haswell \
	  $(MAKE) --no-print-directory -f $(TOP)/Makefile BUILD=$(BUILD)-valgrind ARCH=x86-64-v3 CFLAGS='-O1 -g' \
	  $$goal || exit 1; done

# Readers under libFuzzer, which is clang's, with its sanitizers; of the MPI compiler only the headers and
# libraries stay. tests/fuzz/README.md says what the targets are.
TIME ?= 3600#        seconds of `fuzz`
FUZZ_BUILD = $(BUILD)-fuzz
FUZZ_SANITIZE = -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all
make_fuzz = $(MAKE) --no-print-directory -f $(TOP)/Makefile OMPI_CC=clang MPICH_CC=clang \
  BUILD=$(FUZZ_BUILD) CFLAGS='-O1 -g -fno-omit-frame-pointer -Wno-pass-failed' \
  SANITIZE='$(FUZZ_SANITIZE)' $(FUZZ_BUILD)/fuzz
run_fuzz = BM_TOP=$(TOP) $(PYTHON) $(TOP)/tests/fuzz/fuzz.py $(abspath $(FUZZ_BUILD))

setup-fuzz:
	@$(if $(filter no,$(SETUP)),:,$(TOP)/build-aux/setup.sh clang libclang-rt-dev)

fuzz: | setup-fuzz
	+@$(make_fuzz)
	@$(run_fuzz) --seconds $(strip $(TIME)) $(ARGS)

check-fuzz: | setup-fuzz
	+@$(make_fuzz)
	@$(run_fuzz) --seconds 60

$(BUILD)/fuzz: $(FUZZ_SOURCES) $(TEST_HEADERS) $(BUILD)/libboltzmap.a
	$(call say,CC)$(COMPILE) -fsanitize=fuzzer $(FUZZ_SOURCES) $(BUILD)/libboltzmap.a $(LDFLAGS_ALL) $(LIBS) \
	  -lm -MF $@.d -MT $@ -o $@

# One after the other, whatever -j says: each has the machine for itself.
bench: $(call tests_of,f32,$(BENCHES)) $(BUILD)/boltzmap
	@$(BENCH) bench-training bench-dynamics ARGS='--write $(RESULTS)'
	@$(BENCH) bench-transport ARGS='--quick --write $(RESULTS)'
	@$(BENCH) bench-scaling ARGS='--write $(RESULTS)'
	@echo $(RESULTS)

BENCH = $(MAKE) -j1 --no-print-directory -f $(TOP)/Makefile
run_bench = MPIRUN=$(MPIRUN) $(PYTHON) $(TOP)/tests/bench/$(1).py $<
ENVIRONMENTS = --venv $(BUILD)/bench-env

bench-training: $(BUILD)/f32/tests/bench/bench_training
	@$(call run_bench,training_peers) $(ENVIRONMENTS) $(ARGS)

bench-dynamics: $(BUILD)/f32/tests/bench/bench_dynamics
	@$(call run_bench,dynamics_openmm) $(ENVIRONMENTS) --drift $(ARGS)

bench-transport: $(BUILD)/boltzmap
	@$(call run_bench,transport_peers) $(ENVIRONMENTS) $(ARGS)

bench-scaling: $(BUILD)/boltzmap
	@$(call run_bench,transport_scaling) $(ARGS)
	@$(call run_bench,training_scaling) $(ARGS)

# --- care ---------------------------------------------------------------------------------------

format:
	@clang-format -i $(C_FILES)

check-format:
	@clang-format --dry-run -Werror $(C_FILES)

layers:
	@$(TOP)/build-aux/layers.py $(TOP)

# clang-tidy, cppcheck and gcc's -fanalyzer; waivers are in the script.
setup-analyse:
	@$(if $(filter no,$(SETUP)),:,$(TOP)/build-aux/setup.sh clang-tidy cppcheck)

analyse: $(BUILD)/revision.h | setup-analyse
	@$(TOP)/build-aux/analyse.py $(TOP) $(CPPFLAGS_ALL) $(shell $(CC) --showme:compile)

# An installed tree is like the source tree: input, jobs and postprocess find each other in share.
SHARE = $(DESTDIR)$(prefix)/share/boltzmap
DOC = $(DESTDIR)$(prefix)/share/doc/boltzmap

install: $(BUILD)/boltzmap
	install -d $(DESTDIR)$(prefix)/bin $(DOC)
	install -m 755 $(BUILD)/boltzmap $(DESTDIR)$(prefix)/bin/
	@cd $(TOP) && find input jobs postprocess \( -name __pycache__ -o -name '.*' \) -prune -o -type f -print | \
	  while read -r file; do \
	    mode=644; [ ! -x "$$file" ] || mode=755; \
	    echo "install -m $$mode $$file $(SHARE)/$$file"; \
	    install -D -m $$mode "$$file" "$(SHARE)/$$file" || exit 1; \
	  done
	cd $(TOP) && install -m 644 README.md CHANGELOG.md CONTRIBUTING.md CITATION.cff LICENSE $(DOC)/
	cd $(TOP) && install -D -m 644 -t $(DOC)/postprocess/example postprocess/example/*.png

dist:
	@version=$$(sed -n 's/^AC_INIT(\[boltzmap\], \[\(.*\)\], \[\], .*/\1/p' $(TOP)/configure.ac); \
	mkdir -p $(BUILD); name=boltzmap-$$version; \
	git -C $(TOP) archive --format=tar.gz --prefix=$$name/ HEAD >$(BUILD)/$$name.tar.gz && \
	echo $(BUILD)/$$name.tar.gz

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-fuzz $(BUILD)-valgrind

print-%:
	@echo '$*=$($*)'
