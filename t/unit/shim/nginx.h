
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _SHIM_NGINX_H_INCLUDED_
#define _SHIM_NGINX_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define SHIM_PAGE   4096
#define SHIM_PAGES  2048    /* of the largest pool */
#define SHIM_LOG    512


/* the last line that was logged, as nginx writes it, empty at first, and its
   level */
extern u_char           shim_log[SHIM_LOG];
extern ngx_uint_t       shim_level;

/* the allocation of a configuration, counted from 1, that fails; 0: none */
extern ngx_uint_t       shim_fails;

/* 1: the random source isn't there; 2: it gives too little */
extern ngx_uint_t       shim_no_random;

/* the memory that the next zone gets; NULL: none */
extern ngx_shm_zone_t  *shim_zone;


/* before all else, and when a test begins */
void shim_start(void);
/* sets the clocks, in milliseconds */
void shim_clock(uint64_t now);
/* the cycle that ngx_cycle points to */
ngx_cycle_t *shim_get_cycle(void);


#endif /* _SHIM_NGINX_H_INCLUDED_ */
