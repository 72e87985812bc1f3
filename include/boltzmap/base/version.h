#ifndef BOLTZMAP_BASE_VERSION_H
#define BOLTZMAP_BASE_VERSION_H

/* Which program this is: for provenance in every file it writes. Static storage. */

/* Version, as "0.1.0". */
const char *bm_version(void);

/* Source revision: short commit hash, "+" behind it where files differed from it; "unknown" where built
 * from a tree without history. */
const char *bm_revision(void);

/* Libraries it was built with, as "OpenBLAS 0.3.21, HDF5 1.10.8, …". */
const char *bm_library_versions(void);

#endif
