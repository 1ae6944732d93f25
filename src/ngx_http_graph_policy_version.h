
/*
 * Copyright (C) the graph_policy authors
 */


#ifndef _NGX_HTTP_GRAPH_POLICY_VERSION_H_INCLUDED_
#define _NGX_HTTP_GRAPH_POLICY_VERSION_H_INCLUDED_


/* semantic, as at the top of CHANGES.md */
#define NGX_HTTP_GRAPH_POLICY_VERSION  "0.3.0"


#endif /* _NGX_HTTP_GRAPH_POLICY_VERSION_H_INCLUDED_ */
